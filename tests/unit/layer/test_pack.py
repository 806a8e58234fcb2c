import hashlib
import io
import os
import socket
import stat
import tarfile

import pytest

from builder.layer.errors import PackError
from builder.layer.pack import pack
from builder.layer.tarheader import Metadata
from builder.layer.tarstream import TarStream
from cache.digest import Digest
from cache.snapshot import marks
from support.trees import differences, tree_of_directory, tree_of_layers

LONG_AGO = 1_600_000_000


def packed(directory):
    """The layer and its bytes."""
    target = io.BytesIO()
    layer = pack(str(directory), target, userxattr=True)
    return layer, target.getvalue()


def members(directory):
    with tarfile.open(fileobj=io.BytesIO(packed(directory)[1])) as archive:
        return archive.getmembers()


def names(directory):
    return [member.name for member in members(directory)]


def test_the_digest_and_the_size_are_those_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    layer, archive = packed(tmp_path)
    assert layer.diff_id == "sha256:" + hashlib.sha256(archive).hexdigest()
    assert layer.size_bytes == len(archive)
    assert pack(str(tmp_path), userxattr=True) == layer


def test_an_empty_tree_is_an_empty_archive(tmp_path):
    layer, archive = packed(tmp_path)
    assert archive == bytes(1024)
    assert layer.diff_id == Digest(
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    )


def test_the_order_is_depth_first_by_bytes(tmp_path):
    for name in ("b", "a-b", "a", "Z", "é", "a/y", "a/x/deep"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    assert names(tmp_path) == ["Z", "a", "a/x", "a/x/deep", "a/y", "a-b", "b", "é"]


def test_the_root_has_no_member_of_its_own(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "a").touch()
    assert names(tmp_path) == ["a"]


def test_an_independent_reader_sees_the_same_tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "d" / "e").mkdir(parents=True)
    (tree / "d" / "file").write_bytes(b"x" * 3000)
    (tree / "d" / "empty").touch()
    (tree / "d" / "big").write_bytes(os.urandom(3 << 20))
    (tree / ("long" * 40)).write_text("long name")
    (tree / "link").symlink_to("d/" + "target" * 40)
    os.link(tree / "d" / "file", tree / "a-link")
    os.mkfifo(tree / "fifo", 0o640)
    (tree / "d" / "file").chmod(0o4711)
    (tree / "d" / "e").chmod(0o1777)
    os.setxattr(tree / "d" / "file", "user.note", bytes(range(256)))
    for parent, directories, files in os.walk(tree, topdown=False):
        for name in (*directories, *files):
            os.utime(os.path.join(parent, name), (LONG_AGO, LONG_AGO), follow_symlinks=False)
    seen = tree_of_layers([io.BytesIO(packed(tree)[1])])
    expected = tree_of_directory(tree)
    del expected[""]
    assert differences(seen, expected) == []


def test_times_before_1970_and_fractions_become_whole_seconds_earlier(tmp_path):
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", ns=(0, -1_500_000_000))
    (tmp_path / "b").touch()
    os.utime(tmp_path / "b", ns=(0, 1_500_000_000))
    assert [member.mtime for member in members(tmp_path)] == [-2, 1]


def test_hard_links_are_kept_within_the_layer_and_only_there(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "outside").write_text("shared")
    os.link(tmp_path / "outside", tree / "one")
    assert [member.type for member in members(tree)] == [tarfile.REGTYPE]
    os.link(tree / "one", tree / "two")
    os.link(tree / "one", tree / "three")
    found = [(member.name, member.type, member.linkname) for member in members(tree)]
    assert found == [
        ("one", tarfile.REGTYPE, ""),
        ("three", tarfile.LNKTYPE, "one"),
        ("two", tarfile.LNKTYPE, "one"),
    ]


def test_hard_links_of_a_symlink_are_kept(tmp_path):
    (tmp_path / "a").symlink_to("target")
    os.link(tmp_path / "a", tmp_path / "b", follow_symlinks=False)
    assert [(member.type, member.linkname) for member in members(tmp_path)] == [
        (tarfile.SYMTYPE, "target"),
        (tarfile.LNKTYPE, "a"),
    ]


def test_whiteouts_become_members_even_when_they_are_hard_links(tmp_path):
    (tmp_path / "d").mkdir()
    os.mknod(tmp_path / "d" / "gone", stat.S_IFCHR)
    os.link(tmp_path / "d" / "gone", tmp_path / "also-gone")
    found = [(member.name, member.type, member.size) for member in members(tmp_path)]
    assert found == [
        (".wh.also-gone", tarfile.REGTYPE, 0),
        ("d", tarfile.DIRTYPE, 0),
        ("d/.wh.gone", tarfile.REGTYPE, 0),
    ]


def test_whiteouts_by_xattr_become_members(tmp_path):
    (tmp_path / "gone").touch()
    (tmp_path / "empty").touch()
    os.setxattr(tmp_path / "gone", "user.overlay.whiteout", b"")
    assert names(tmp_path) == ["empty", "gone"]
    os.setxattr(tmp_path, "user.overlay.opaque", b"x")
    assert names(tmp_path) == ["empty", ".wh.gone"]


def test_an_opaque_directory_has_a_marker_in_it(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").touch()
    marks.make_opaque(str(tmp_path / "d"), userxattr=True)
    marks.make_opaque(str(tmp_path), userxattr=True)  # which the kernel doesn't heed
    assert names(tmp_path) == ["d", "d/.wh..wh..opq", "d/a"]


def test_overlays_own_xattrs_stay_out(tmp_path):
    (tmp_path / "a").touch()
    os.setxattr(tmp_path / "a", "user.overlay.origin", b"x")
    os.setxattr(tmp_path / "a", "user.kept", b"x")
    (member,) = members(tmp_path)
    assert member.pax_headers == {"SCHILY.xattr.user.kept": "x"}


def test_sockets_are_left_out(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path may only be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    (tmp_path / "a").touch()
    assert names(tmp_path) == ["a"]


def test_a_sparse_file_has_the_bytes_of_a_full_one(tmp_path):
    for name in ("sparse", "full"):
        (tmp_path / name).mkdir()
        with open(tmp_path / name / "file", "wb") as file:
            if name == "full":
                file.write(bytes(4 << 20))
            file.seek(4 << 20)
            file.write(b"end")
        os.utime(tmp_path / name / "file", (LONG_AGO, LONG_AGO))
    assert packed(tmp_path / "sparse")[1] == packed(tmp_path / "full")[1]


def test_a_file_named_like_a_whiteout_is_refused(tmp_path):
    (tmp_path / ".wh.secret").touch()
    with pytest.raises(PackError, match=r"\.wh\.secret") as caught:
        packed(tmp_path)
    assert caught.value.hint
    (tmp_path / ".wh.secret").rename(tmp_path / "x.wh.fine")
    assert names(tmp_path) == ["x.wh.fine"]


def test_the_tree_may_have_names_that_are_no_text(tmp_path):
    name = b"caf\xe9\xff"
    with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
        pass
    (member,) = members(tmp_path)
    assert os.fsencode(member.name) == name


def test_more_members_than_a_buffer_holds_come_out_in_order(tmp_path):
    contents = {f"{number:03}": os.urandom(200_000) for number in range(40)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    layer, archive = packed(tmp_path)
    assert layer.size_bytes == len(archive) > 7 << 20
    assert layer.diff_id == "sha256:" + hashlib.sha256(archive).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(archive)) as file:
        assert {m.name: file.extractfile(m).read() for m in file.getmembers()} == contents


class Full:
    """A target on a full disk."""

    def write(self, data):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("size", [10, 20 << 20])
def test_what_the_target_raises_comes_out(tmp_path, size):
    (tmp_path / "file").write_bytes(bytes(size))
    with pytest.raises(OSError, match="No space left"):
        pack(str(tmp_path), Full(), userxattr=True)


def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / ".wh.bad").touch()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(PackError):
        packed(tmp_path)
    assert os.listdir("/proc/self/fd") == before


METADATA = Metadata(0o644, 0, 0, LONG_AGO)


def test_a_stream_that_is_fed_by_hand_gives_what_pack_gives(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 700)
    (tmp_path / "d" / "l").symlink_to("f")
    for name in ("d/f", "d/l", "d"):
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO), follow_symlinks=False)

    def metadata(name):
        status = os.lstat(tmp_path / name)
        return Metadata(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, LONG_AGO)

    with TarStream() as stream:
        stream.add_directory(b"d", metadata("d"))
        stream.add_file(b"d/f", metadata("d/f"), 700, io.BytesIO(b"x" * 700))
        stream.add_symlink(b"d/l", metadata("d/l"), b"f")
        assert stream.finish() == pack(str(tmp_path), userxattr=True)


@pytest.mark.parametrize("source", [b"short", io.BytesIO(b"short")])
def test_a_file_that_got_shorter_is_refused(source):
    with TarStream() as stream, pytest.raises(PackError, match="changed"):
        stream.add_file(b"f", METADATA, 6, source)


def test_what_a_reader_has_beyond_the_size_is_not_taken():
    source = io.BytesIO(b"longer")
    with TarStream() as stream:
        stream.add_file(b"f", METADATA, 4, source)
    assert source.read() == b"er"
