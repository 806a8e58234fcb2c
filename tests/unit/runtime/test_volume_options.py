"""`-v`, `--mount`, `--tmpfs` and `--volumes-from`: what is taken, and what is refused."""

from __future__ import annotations

import pytest

from builder.errors import UnsupportedError
from builder.runtime.errors import InvalidOptionError, InvalidVolumeNameError
from builder.runtime.volumes import (
    HostBind,
    ImageMount,
    TmpfsMount,
    VolumeMount,
    VolumesFrom,
)
from builder.runtime.volumes_mount_option import parse_mount
from builder.runtime.volumes_options import (
    distinct,
    parse_tmpfs,
    parse_volume,
    parse_volumes_from,
)


def bind(source: str, target: str, **fields: object) -> HostBind:
    return HostBind(source, target, make_source=True, **fields)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", bind("/a", "/b")),
        ("/a:/b:ro", bind("/a", "/b", readonly=True)),
        ("/a:/b:rw", bind("/a", "/b")),
        ("./a:/b/", bind("/here/a", "/b")),
        (".:/b", bind("/here", "/b")),
        ("../a:/b", bind("/a", "/b")),
        ("/a:/b:z", bind("/a", "/b", relabel="shared")),
        ("/a:/b:Z,ro", bind("/a", "/b", relabel="private", readonly=True)),
        ("/a:/b:U", bind("/a", "/b", chown=True)),
        ("/a:/b:O", bind("/a", "/b", overlaid=True)),
        ("/a:/b:rslave", bind("/a", "/b", propagation="rslave")),
        ("/a:/b:shared,bind", bind("/a", "/b", propagation="shared", recursive=False)),
        ("/a:/b:noexec,nosuid", bind("/a", "/b", flags=("noexec", "nosuid"))),
        ("/a:/b:exec,cached,rbind", bind("/a", "/b")),
        ("/b", VolumeMount("", "/b", anonymous=True)),
        ("/b:ro", VolumeMount("", "/b", anonymous=True, readonly=True)),
        ("data:/b", VolumeMount("data", "/b")),
        ("data:/b:nocopy,ro", VolumeMount("data", "/b", nocopy=True, readonly=True)),
        ("data:/b:copy", VolumeMount("data", "/b")),
        ("d.a-t_a:/b:U,z", VolumeMount("d.a-t_a", "/b", chown=True, relabel="shared")),
    ],
)
def test_a_volume_is_a_source_a_target_and_flags(text, mount):
    assert parse_volume(text, working_dir="/here") == mount


@pytest.mark.parametrize(
    "text",
    [
        *("b", ":/b", "/a:", "", "/a:/b:ro:x", "/a:/", "/a:/b:ro,rw", "/a:/b:z,Z"),
        *("a/b:/c", "d:/b", "-data:/b", "~/a:/b", "/a:/b:nocopy", "data:/b:rslave"),
        *("/a:/b:rslave,rshared", "/a:/b:O,ro", "/:", "::", "x" * 256 + ":/b"),
    ],
)
def test_a_volume_that_makes_no_sense_is_refused(text):
    with pytest.raises((InvalidOptionError, InvalidVolumeNameError)):
        parse_volume(text, working_dir="/")


@pytest.mark.parametrize("flag", ["idmap", "upperdir=/x", "dev", "idmap=uids=0-1-10", "RO", ""])
def test_a_flag_that_is_not_known_is_refused_by_name(flag):
    with pytest.raises(UnsupportedError) as raised:
        parse_volume(f"/a:/b:ro,{flag}", working_dir="/")
    assert f'"{flag}" is not supported' in raised.value.message


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b", HostBind("/a", "/b")),
        ("type=bind,source=a,target=/b,ro", HostBind("/here/a", "/b", readonly=True)),
        ("type=bind,source=/a,target=/b,readonly=false", HostBind("/a", "/b")),
        ("type=bind,source=/a,target=/b,rw=false", HostBind("/a", "/b", readonly=True)),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-recursive=disabled",
            HostBind("/a", "/b", propagation="rslave", recursive=False),
        ),
        (
            "type=bind,src=/a,dst=/b,bind-nonrecursive,relabel=shared,U=true,bind-create-src",
            HostBind("/a", "/b", recursive=False, relabel="shared", chown=True, make_source=True),
        ),
        ('type=bind,"src=/a,b",dst=/b', HostBind("/a,b", "/b")),
        ('type=bind,"src=/a""b",dst=/b', HostBind('/a"b', "/b")),
        ("src=data,dst=/b", VolumeMount("data", "/b")),
        ("target=/b", VolumeMount("", "/b", anonymous=True)),
        (
            "type=volume,src=data,dst=/b,volume-nocopy=true,volume-label=a=b,volume-subpath=x/./y",
            VolumeMount("data", "/b", nocopy=True, labels=(("a", "b"),), subpath="x/y"),
        ),
        (
            "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=0770",
            TmpfsMount("/b", options=("size=67108864", "mode=770")),
        ),
        (
            'type=tmpfs,dst=/b,"tmpfs-options=exec,uid=7",ro',
            TmpfsMount("/b", True, ("nosuid", "nodev"), ("uid=7",)),
        ),
        ("type=image,src=box,dst=/b", ImageMount("box", "/b")),
        ("type=image,src=box,dst=/b,rw,subpath=etc", ImageMount("box", "/b", False, "etc")),
        ("TYPE=tmpfs,Destination=/b,consistency=cached", TmpfsMount("/b")),
    ],
)
def test_a_mount_is_keys_with_values(text, mount):
    assert parse_mount(text, working_dir="/here") == mount


@pytest.mark.parametrize(
    "text",
    [
        *("", "type=bind", "type=bind,src=/a", "type=bind,dst=/b", "dst=b", "dst=/", "dst=/b,,"),
        *("type=image,dst=/b", "src=/a,dst=/b", "dst=/b,dst=/c", "dst", "dst=/b,ro=maybe"),
        *('"dst=/b', '"dst=/b"x', "dst=/b,ro,rw", "type=tmpfs,dst=/b,tmpfs-mode=9"),
        *("type=tmpfs,dst=/b,tmpfs-size=x", "type=bind,src=/a,dst=/b,bind-propagation=up"),
        *("src=data,dst=/b,subpath=../x", "src=data,dst=/b,subpath=/x", "type=image,src=,dst=/b"),
        *("type=bind,src=/a,dst=/b,bind-recursive=readonly", "src=data,dst=/b,volume-label"),
    ],
)
def test_a_mount_that_makes_no_sense_is_refused(text):
    with pytest.raises((InvalidOptionError, InvalidVolumeNameError)):
        parse_mount(text, working_dir="/")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("type=npipe,src=a,dst=/b", '"npipe"'),
        ("type=volume,dst=/b,volume-driver=nfs", '"volume-driver"'),
        ("type=volume,dst=/b,volume-opt=a=b", '"volume-opt"'),
        ("type=bind,src=/a,dst=/b,tmpfs-size=1", '"tmpfs-size"'),
        ("type=bind,src=/a,dst=/b,idmap", '"idmap"'),
        ("type=tmpfs,dst=/b,tmpcopyup", '"tmpcopyup"'),
        ("type=bind,src=/a,dst=/b,ro,bind-recursive=writable", "bind-recursive=writable"),
    ],
)
def test_a_key_that_is_not_supported_is_refused_by_name(text, named):
    with pytest.raises(UnsupportedError, match=named):
        parse_mount(text, working_dir="/")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/b", TmpfsMount("/b")),
        ("/b:", TmpfsMount("/b")),
        ("/b:size=1g,mode=755", TmpfsMount("/b", options=("size=1073741824", "mode=755"))),
        ("/b:rw,exec,suid", TmpfsMount("/b", flags=("nodev",))),
        ("/b:exec,noexec,ro", TmpfsMount("/b", readonly=True)),
        ("/b:size=50%,uid=7,gid=8", TmpfsMount("/b", options=("size=50%", "uid=7", "gid=8"))),
        ("/b:nr_inodes=1k,size=1,size=2", TmpfsMount("/b", options=("nr_inodes=1024", "size=2"))),
    ],
)
def test_a_tmpfs_is_a_path_and_mount_options(text, mount):
    assert parse_tmpfs(text) == mount


@pytest.mark.parametrize(
    "text", ["", "b", "/", "/b:size=", "/b:size=-1", "/b:mode=8", "/b:uid=x", "/b:uid=-1"]
)
def test_a_tmpfs_that_makes_no_sense_is_refused(text):
    with pytest.raises(InvalidOptionError):
        parse_tmpfs(text)


@pytest.mark.parametrize("option", ["dev", "mpol=bind", "tmpcopyup", "huge=always", "x"])
def test_a_tmpfs_option_that_is_not_supported_is_refused_by_name(option):
    with pytest.raises(UnsupportedError, match=option.partition("=")[0]):
        parse_tmpfs(f"/b:{option}")


def test_volumes_come_from_a_container_as_they_are_there_or_read_only():
    assert parse_volumes_from("c") == VolumesFrom("c")
    assert parse_volumes_from("c:rw") == VolumesFrom("c")
    assert parse_volumes_from("c:ro") == VolumesFrom("c", readonly=True)
    for text in ("", ":ro", "c:", "c:x", "c:ro:rw"):
        with pytest.raises(InvalidOptionError):
            parse_volumes_from(text)


def test_two_mounts_at_one_place_are_refused():
    with pytest.raises(InvalidOptionError, match="/a"):
        distinct((HostBind("/1", "/a"), TmpfsMount("/a")))
