"""Layouts and archives, whole and broken, taken into a store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile

import pytest
import zstandard

from builder.errors import UnknownImageError, UsageError
from builder.events import Warned
from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.model import Platform
from builder.image.platform import host_platform
from builder.layer.errors import BadArchiveError
from builder.layer.pack import pack
from builder.worker.image_archive import ArchiveSource
from builder.worker.image_layers import restore_layers
from builder.worker.image_layout import images_in_source, parse_layout_reference
from builder.worker.image_source import DirectorySource
from builder.worker.image_step import StoreResolver, keep_image, load_layout_image
from builder.worker.stored_images import find_image
from cache.descriptor import chain_id, chain_ids
from cache.errors import CorruptContentError, NotFoundError
from support.images import Entry, directory, layer_tar, symlink, write_layout
from support.stores import open_store

HOST = host_platform()
OWNER = {"uid": os.getuid(), "gid": os.getgid()}
BASE = layer_tar({"etc": directory(), "etc/os": Entry(b"tiny", **OWNER), "os": symlink("etc/os")})
TOP = layer_tar({"etc/.wh.os": Entry(), "top": Entry(b"x" * 3000, **OWNER)})


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def layout(tmp_path):
    return write_layout(tmp_path / "layout", [BASE, TOP])


def digest_of(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def load(store, reference, platform=HOST):
    with store.leases.hold() as lease:
        return load_layout_image(store, f"oci-layout://{reference}", platform, lease)[0]


def load_all(store, source):
    with source, store.leases.hold() as lease:
        images = [image for (image,) in images_in_source(source, [HOST])]
        return [(keep_image(store, source, image, lease), image.names) for image in images]


def tree_of(store, image, number):
    info = store.snapshots.info(chain_ids(image.config.diff_ids)[number])
    return sorted(os.listdir(info.diff_dir))


def assert_nothing_is_left(store):
    assert store.images.list() == ()
    assert os.listdir(os.path.join(store.state.root_dir, "tmp", store.state.owner)) == ["lock"]


def test_a_layout_becomes_an_image_with_its_id(store, layout):
    image = load(store, f"{layout}:latest")
    index = json.loads((layout / "index.json").read_text())
    manifest = blob_of(layout, index["manifests"][0])
    assert image.image_id == manifest["config"]["digest"]
    assert image.layer_sizes == (len(BASE), len(TOP))
    assert tree_of(store, image, 0) == ["etc", "os"]
    assert tree_of(store, image, 1) == ["etc", "top"]
    origins = [store.images.origin_blob(diff_id).digest for diff_id in image.config.diff_ids]
    assert origins == [layer["digest"] for layer in manifest["layers"]]


def test_a_layout_that_is_known_is_not_read_again(store, layout):
    image = load(store, layout)
    manifest = blob_of(layout, json.loads((layout / "index.json").read_text())["manifests"][0])
    for descriptor in (manifest["config"], *manifest["layers"]):
        blob_path(layout, descriptor["digest"]).unlink()
    assert load(store, layout) == image


def test_layers_that_other_images_have_are_not_read_again(store, layout, tmp_path):
    load(store, layout)
    other = write_layout(tmp_path / "other", [BASE, layer_tar({"new": Entry(**OWNER)})])
    blob_path(other, digest_of(gzip.compress(BASE, 1, mtime=0))).unlink()
    assert tree_of(store, load(store, other), 1) == ["new"]


def test_the_blob_of_a_directory_is_not_copied(store, layout):
    image = load(store, layout)
    blob = store.images.origin_blob(image.config.diff_ids[0])
    kept = os.stat(store.state.blob(blob.digest))
    assert kept.st_ino == os.stat(blob_path(layout, blob.digest)).st_ino


def blob_path(layout, digest):
    return layout / "blobs" / digest.replace(":", "/")


def blob_of(layout, descriptor):
    return json.loads(blob_path(layout, descriptor["digest"]).read_bytes())


def rewrite(layout, change):
    """Change the layout's manifest; the digests that name it follow."""
    index = json.loads((layout / "index.json").read_text())
    manifest = blob_of(layout, index["manifests"][0])
    change(manifest)
    blob = json.dumps(manifest).encode()
    blob_path(layout, digest_of(blob)).write_bytes(blob)
    index["manifests"][0] |= {"digest": digest_of(blob), "size": len(blob)}
    (layout / "index.json").write_text(json.dumps(index))


def replace_layer(layout, number, blob):
    blob_path(layout, digest_of(blob)).write_bytes(blob)

    def change(manifest):
        manifest["layers"][number] |= {"digest": digest_of(blob), "size": len(blob)}

    rewrite(layout, change)


def test_a_blob_with_other_bytes_is_refused(store, layout):
    path = blob_path(layout, digest_of(gzip.compress(TOP, 1, mtime=0)))
    path.write_bytes(gzip.compress(TOP, 9, mtime=0).ljust(path.stat().st_size, b"\0"))
    with pytest.raises(CorruptContentError, match="is damaged"):
        load(store, layout)
    assert_nothing_is_left(store)


def test_a_blob_of_another_size_is_refused_before_it_is_read(store, layout):
    path = blob_path(layout, digest_of(gzip.compress(TOP, 1, mtime=0)))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CorruptContentError, match="is damaged"):
        load(store, layout)


def test_a_layer_that_unpacks_to_something_else_is_refused(store, layout):
    replace_layer(layout, 1, gzip.compress(layer_tar({"evil": Entry(**OWNER)})))
    with pytest.raises(CorruptContentError, match="unpacks to"):
        load(store, layout)
    assert_nothing_is_left(store)


def test_bytes_after_the_compressed_data_belong_to_the_blob(store, layout):
    replace_layer(layout, 1, gzip.compress(TOP) + bytes(512))
    assert tree_of(store, load(store, layout), 1) == ["etc", "top"]


def test_a_truncated_layer_is_refused(store, layout):
    replace_layer(layout, 1, gzip.compress(TOP)[:-20])
    with pytest.raises(BadArchiveError):
        load(store, layout)
    assert_nothing_is_left(store)


def test_a_hostile_member_leaves_nothing_behind(store, layout, tmp_path):
    evil = write_layout(tmp_path / "evil", [layer_tar({"../../escaped": Entry(b"x")})])
    with pytest.raises(BadArchiveError, match="leads out of the tree"):
        load(store, evil)
    assert_nothing_is_left(store)
    assert not list(tmp_path.rglob("escaped"))


def test_a_damaged_manifest_is_refused(store, layout):
    index = json.loads((layout / "index.json").read_text())
    path = blob_path(layout, index["manifests"][0]["digest"])
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    with pytest.raises(CorruptContentError):
        load(store, layout)


def test_a_manifest_with_fewer_layers_than_its_config_is_refused(store, layout):
    rewrite(layout, lambda manifest: manifest["layers"].pop())
    with pytest.raises(InvalidImageError, match="1 layers, its config tells of 2"):
        load(store, layout)


def test_a_pipe_among_the_blobs_is_no_blob(store, layout):
    path = blob_path(layout, digest_of(gzip.compress(TOP, 1, mtime=0)))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidImageError, match="is not a file"):
        load(store, layout)


def two_tags(layout):
    index = json.loads((layout / "index.json").read_text())
    first = index["manifests"][0]
    other = write_layout(layout / "other", [BASE])
    second = json.loads((other / "index.json").read_text())["manifests"][0]
    for path in (other / "blobs/sha256").iterdir():
        (layout / "blobs/sha256" / path.name).write_bytes(path.read_bytes())
    second["annotations"] = {"org.opencontainers.image.ref.name": "docker.io/library/app:v2"}
    index["manifests"] = [first, second]
    (layout / "index.json").write_text(json.dumps(index))
    return first, second


@pytest.mark.parametrize(("tag", "number"), [("", 0), (":latest", 0), (":v2", 1)])
def test_an_image_of_a_layout_is_chosen_by_its_tag(store, layout, tag, number):
    entries = two_tags(layout)
    image = load(store, f"{layout}{tag}")
    assert image.image_id == blob_of(layout, entries[number])["config"]["digest"]


def test_an_image_of_a_layout_is_chosen_by_its_digest(store, layout):
    _, second = two_tags(layout)
    image = load(store, f"{layout}@{second['digest']}")
    assert image.image_id == blob_of(layout, second)["config"]["digest"]


def test_an_unknown_tag_is_answered_with_those_there_are(store, layout):
    two_tags(layout)
    with pytest.raises(UnknownImageError, match='tagged "v3"') as caught:
        load(store, f"{layout}:v3")
    assert caught.value.hint == "it has docker.io/library/app:v2, latest"


def test_a_missing_layout_is_said(store, tmp_path):
    with pytest.raises(UnknownImageError, match="there is no layout"):
        load(store, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "directory", "tag"),
    [
        ("oci-layout:///a/b", "/a/b", ""),
        ("oci-layout:///a/b:v1", "/a/b", "v1"),
        ("rel:v1", "rel", "v1"),
        ("/a:b/c", "/a:b/c", ""),
        ("/a:b/c:v1", "/a:b/c", "v1"),
    ],
)
def test_a_layout_reference_ends_with_its_tag(text, directory, tag):
    reference = parse_layout_reference(text)
    assert (reference.directory, reference.tag, reference.digest) == (directory, tag, None)


def test_a_colon_in_an_existing_path_is_no_tag(tmp_path):
    (tmp_path / "a:b").mkdir()
    assert parse_layout_reference(f"{tmp_path}/a:b").directory == f"{tmp_path}/a:b"


def test_a_layout_reference_without_a_directory_is_refused():
    with pytest.raises(UsageError):
        parse_layout_reference("oci-layout://")


def nest(layout, entries):
    blob = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    blob_path(layout, digest_of(blob)).write_bytes(blob)
    media_type = "application/vnd.oci.image.index.v1+json"
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}


def test_the_manifest_for_the_platform_is_chosen_from_an_index_within_the_index(store, layout):
    index = json.loads((layout / "index.json").read_text())
    ours = index["manifests"][0]
    foreign = ours | {"platform": {"os": "linux", "architecture": "vax"}, "digest": digest_of(b"")}
    nested = nest(layout, [foreign, ours])
    (layout / "index.json").write_text(json.dumps(index | {"manifests": [nested]}))
    assert load(store, layout).config.platform == HOST
    with pytest.raises(UnsupportedImageError, match="no manifest for linux/s390x"):
        load(store, layout, Platform("linux", "s390x"))


def test_indexes_within_indexes_end(store, layout):
    descriptor = json.loads((layout / "index.json").read_text())["manifests"][0]
    for _ in range(6):
        descriptor = nest(layout, [descriptor])
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidImageError, match="indexes within indexes"):
        load(store, layout)


def archive_at(path):
    return ArchiveSource(open(path, "rb"), str(path))


def tar_of(folder, path):
    with tarfile.open(path, "w") as archive:
        archive.add(folder, ".")
    return archive_at(path)


def test_an_archive_of_a_layout_is_read_in_place(store, layout, tmp_path):
    ((image, names),) = load_all(store, tar_of(layout, tmp_path / "oci.tar"))
    assert names == ()
    assert tree_of(store, image, 1) == ["etc", "top"]
    blob = store.images.origin_blob(image.config.diff_ids[1])
    assert blob.digest == digest_of(gzip.compress(TOP, 1, mtime=0))


def docker_archive(path, layers, *, tags=("app:latest",), link=False):
    """As old and new `docker save` write it; `link`: equal layers as links to the first."""
    config = {
        "architecture": HOST.architecture,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(BASE) for _ in layers]},
    }
    config["rootfs"]["diff_ids"] = [digest_of(plain) for plain, _ in layers]
    files = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": list(tags), "Layers": files}]
    members = {"manifest.json": Entry(json.dumps(manifest).encode())}
    members |= {"config.json": Entry(json.dumps(config).encode())}
    first = {}
    for name, (plain, stored) in zip(files, layers, strict=True):
        if link and plain in first:
            members[name] = symlink(f"../{first[plain]}")
        else:
            members[name] = Entry(stored)
            first[plain] = name
    path.write_bytes(layer_tar(members))
    return archive_at(path)


def test_a_docker_archive_with_plain_layers_is_kept_compressed(store, tmp_path):
    source = docker_archive(tmp_path / "d.tar", [(BASE, BASE), (TOP, TOP)])
    ((image, names),) = load_all(store, source)
    assert names == ("docker.io/library/app:latest",)
    blob = store.images.origin_blob(image.config.diff_ids[1])
    assert gzip.decompress(store.content.read(blob.digest)) == TOP
    assert tree_of(store, image, 1) == ["etc", "top"]


SKIPPED = b"\x5a\x2a\x4d\x18\x04\x00\x00\x00skip"
"""A zstd frame without content, as zstd:chunked layers may begin."""


@pytest.mark.parametrize(
    ("compress", "is_kept"),
    [
        (gzip.compress, True),
        (zstandard.compress, True),
        (lambda data: SKIPPED + zstandard.compress(data), True),
        (lzma.compress, False),
    ],
)
def test_a_docker_archive_may_hold_compressed_layers(store, tmp_path, compress, is_kept):
    stored = compress(TOP)
    ((image, _),) = load_all(store, docker_archive(tmp_path / "d.tar", [(TOP, stored)]))
    blob = store.images.origin_blob(image.config.diff_ids[0])
    assert (store.content.read(blob.digest) == stored) is is_kept
    assert image.layer_sizes == (len(TOP),)


def test_equal_layers_of_a_docker_archive_may_be_links(store, tmp_path):
    source = docker_archive(tmp_path / "d.tar", [(BASE, BASE), (TOP, TOP), (BASE, BASE)], link=True)
    ((image, _),) = load_all(store, source)
    assert tree_of(store, image, 2) == ["etc", "os"]


def test_a_docker_archive_whose_layer_is_another_is_refused(store, tmp_path):
    source = docker_archive(tmp_path / "d.tar", [(BASE, TOP)])
    with pytest.raises(CorruptContentError, match="unpacks to"):
        load_all(store, source)
    assert_nothing_is_left(store)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"bin": directory()}, "holds no image"),
        ({"manifest.json": Entry(b"{}")}, "not a JSON array"),
        ({"manifest.json": Entry(b'[{"Config":"c.json"}]')}, "has no c.json"),
        ({"manifest.json": Entry(b'[{"Config":"../../etc/passwd"}]')}, "has no ../../etc/passwd"),
        ({"index.json": Entry(b"[]")}, "not a JSON object"),
        ({"index.json": symlink("index.json")}, "holds no image"),
        ({"a": symlink("b"), "b": symlink("a"), "index.json": symlink("a")}, "holds no image"),
    ],
)
def test_an_archive_without_an_image_is_refused(store, tmp_path, members, words):
    path = tmp_path / "x.tar"
    path.write_bytes(layer_tar(members))
    with pytest.raises(InvalidImageError, match=words):
        load_all(store, archive_at(path))


@pytest.mark.parametrize("content", [b"", b"x" * 2000, layer_tar({"a": Entry(b"x" * 9000)})[:3000]])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(InvalidImageError):
        archive_at(tmp_path / "x.tar")


def resolver(store, lease):
    return StoreResolver.of(store, lease=lease)


def test_a_build_finds_stored_images_and_layouts(store, layout):
    image = load(store, layout)
    store.images.tag("docker.io/library/base:latest", image.image_id)
    with store.leases.hold() as lease:
        found = resolver(store, lease)
        for name in ("base", "docker-image://base", image.image_id, f"oci-layout://{layout}"):
            assert found.resolve(name, None).config == image.config
        assert chain_id(image.config.diff_ids) in store.leases.held("chain")


def test_an_unknown_image_comes_with_a_near_name(store, layout):
    image = load(store, layout)
    store.images.tag("docker.io/library/debian:bookworm", image.image_id)
    with pytest.raises(UnknownImageError) as caught:
        find_image(store, "debain:bookworm")
    assert 'did you mean "debian:bookworm"?' in caught.value.hint


def test_an_image_for_another_platform_is_none_for_the_one_asked(store, layout):
    store.images.tag("docker.io/library/base:latest", load(store, layout).image_id)
    refused = pytest.raises(UnknownImageError, match="not for linux/s390x")
    with store.leases.hold() as lease, refused:
        resolver(store, lease).resolve("base", Platform("linux", "s390x"))


def test_lost_layers_are_unpacked_again_from_their_blobs(store, layout):
    image = load(store, layout)
    for chain in reversed(chain_ids(image.config.diff_ids)):
        store.snapshots.remove(chain)
    restore_layers(store, image)
    assert tree_of(store, image, 1) == ["etc", "top"]


def test_a_lost_layer_without_a_blob_is_said(store):
    active = store.snapshots.prepare(chain_id(()))
    layer = pack(active.upperdir, userxattr=True)
    info = store.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
    config = {"architecture": "amd64", "os": "linux"}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id]}
    image = store.images.adopt(json.dumps(config).encode(), (layer.size_bytes,))
    store.snapshots.remove(info.chain_id)
    with pytest.raises(NotFoundError, match="has lost the layer"):
        restore_layers(store, image)


def test_what_could_not_be_unpacked_is_said(store, tmp_path):
    device = Entry(kind=tarfile.CHRTYPE)
    layout = write_layout(tmp_path / "dev", [layer_tar({"null": device})])
    image = load(store, layout)
    warned = [event.message for event in store.events if isinstance(event, Warned)]
    made = tree_of(store, image, 0) == ["null"]
    assert made or warned == ["left out 1 devices (null): only root can make them"]


def test_a_directory_source_takes_names_only_from_its_directory(layout):
    with DirectorySource(str(layout)) as source:
        assert source.size("oci-layout") is not None
        assert source.size("nowhere") is None
        assert source.size("blobs") is None
        with source.open("oci-layout") as extent:
            assert io.BytesIO(extent.read()).read(1) == b"{"
