"""Options about mounts: any text is read or refused, and what inspect shows is read as it was."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from builder.image.jsonobject import parse_object
from builder.runtime.volumes import (
    MOUNT_FLAGS,
    PROPAGATIONS,
    HostBind,
    HostMounts,
    ImageMount,
    TmpfsMount,
    VolumeMount,
    mounts_dict,
    mounts_of,
)
from builder.runtime.volumes_inspect import bind_texts, tmpfs_texts
from builder.runtime.volumes_mount_option import parse_mount
from builder.runtime.volumes_options import parse_tmpfs, parse_volume, parse_volumes_from
from cache.digest import sha256_digest
from cache.errors import PybuildError

words = st.sampled_from(
    [
        *("type=bind", "type=volume", "type=tmpfs", "type=image", "src=/a", "dst=/b", "target=c"),
        *("source=x", "ro", "readonly=false", "tmpfs-size=1k", "volume-nocopy", "subpath=..", '"'),
        *("bind-propagation=rslave", "rw", "=", ",", ":", "/", "..", "ro,z", "size=1", "O", "U"),
    ]
)
texts = st.text(max_size=40) | st.lists(words, max_size=6).map(",".join)
texts |= st.lists(words, max_size=4).map(":".join)


@given(texts)
def test_any_text_is_a_mount_or_is_refused(text):
    for parse in (parse_volume, parse_mount):
        with suppress(PybuildError):
            target = parse(text, working_dir="/here").target
            assert target.startswith("/")
            assert target != "/"
            assert not {"", ".", ".."} & set(target.split("/")[1:])
    with suppress(PybuildError):
        assert parse_tmpfs(text).target.startswith("/")
    with suppress(PybuildError):
        assert parse_volumes_from(text).container


paths = st.lists(
    st.text("abc-_ .é", min_size=1, max_size=8).filter(lambda part: part not in {".", ".."}),
    min_size=1,
    max_size=4,
).map(lambda parts: "/" + "/".join(parts))
volume_names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,20}", fullmatch=True)
flags = st.sets(st.sampled_from(MOUNT_FLAGS)).map(
    lambda chosen: tuple(flag for flag in MOUNT_FLAGS if flag in chosen)
)
relabels = st.sampled_from(["", "shared", "private"])
binds = st.builds(
    HostBind,
    source=paths,
    target=paths,
    readonly=st.just(value=False),
    flags=flags,
    propagation=st.sampled_from(PROPAGATIONS),
    recursive=st.booleans(),
    make_source=st.just(value=True),
    overlaid=st.booleans(),
    chown=st.booleans(),
    relabel=relabels,
)
volumes = st.builds(
    VolumeMount,
    name=volume_names,
    target=paths,
    readonly=st.booleans(),
    flags=flags,
    nocopy=st.booleans(),
    chown=st.booleans(),
    relabel=relabels,
)


@given(binds | volumes)
def test_what_inspect_shows_of_a_bind_is_what_v_takes(mount):
    (text,) = bind_texts(HostMounts((mount,)))
    assert parse_volume(text, working_dir="/") == mount


tmpfs = st.builds(
    TmpfsMount,
    target=paths,
    readonly=st.booleans(),
    flags=st.just(MOUNT_FLAGS),
    options=st.sets(st.sampled_from(["size=4096", "mode=700", "uid=7"])).map(
        lambda chosen: tuple(sorted(chosen))
    ),
)


@given(tmpfs)
def test_what_inspect_shows_of_a_tmpfs_is_what_the_option_takes(mount):
    ((target, options),) = tmpfs_texts(HostMounts((mount,))).items()
    assert parse_tmpfs(f"{target}:{options}") == mount


images = st.builds(
    ImageMount,
    image_name=st.text(min_size=1, max_size=20),
    target=paths,
    readonly=st.booleans(),
    subpath=st.sampled_from(["", "etc", "a/b"]),
    image_id=st.just(sha256_digest(b"image")),
    diff_ids=st.just((sha256_digest(b"1"),)),
)


@given(st.lists(binds | volumes | tmpfs | images, max_size=5))
def test_mounts_come_out_of_their_json_as_they_were(entries):
    import json

    mounts = HostMounts(tuple(entries))
    document = parse_object(json.dumps(mounts_dict(mounts)).encode(), what="record")
    assert mounts_of(document) == mounts
