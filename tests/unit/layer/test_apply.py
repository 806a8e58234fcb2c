import io
import os
import stat
import subprocess
import tarfile

import pytest

from builder.layer.apply import apply_layer, member_path, unpack_blob
from builder.layer.errors import BadArchiveError
from builder.layer.pack import pack
from cache.digest import sha256_digest
from cache.errors import StoreError
from cache.snapshot import marks
from support.trees import differences, tree_of_directory

LONG_AGO = 1_600_000_000
DIR, FILE, LINK, HARD = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
UID, GID = os.getuid(), os.getgid()


@pytest.fixture
def upperdir(tmp_path):
    (tmp_path / "upper").mkdir()
    return tmp_path / "upper"


@pytest.fixture
def lower(tmp_path):
    (tmp_path / "lower").mkdir()
    return tmp_path / "lower"


def archive_of(*members):
    """An archive of (name, type, content or link, other fields...)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, kind, what, *fields in members:
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid, info.mtime = kind, UID, GID, LONG_AGO
            info.mode = 0o755 if kind == DIR else 0o644
            content = what.encode() if kind == FILE else b""
            info.size, info.linkname = len(content), what if kind in {LINK, HARD} else ""
            for field in fields:
                for key, value in field.items():
                    setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def apply(upperdir, *members, lowerdirs=()):
    return apply_layer(
        io.BytesIO(archive_of(*members)),
        str(upperdir),
        userxattr=True,
        lowerdirs=[str(directory) for directory in lowerdirs],
    )


def contents(directory):
    """Paths below a directory with what they hold: None for a whiteout, else content or opacity."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            key = os.path.relpath(path, directory)
            if marks.is_whiteout(status):
                found[key] = None
            elif stat.S_ISLNK(status.st_mode):
                found[key] = "-> " + os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                found[key + "/"] = marks.opacity(path, userxattr=True)
            else:
                with open(path) as file:
                    found[key] = file.read()
    return found


def test_files_directories_and_links_appear(upperdir):
    apply(
        upperdir, ("d", DIR, ""), ("d/f", FILE, "content"), ("l", LINK, "d/f"), ("h", HARD, "d/f")
    )
    assert contents(upperdir) == {"d/": "", "d/f": "content", "l": "-> d/f", "h": "content"}
    assert os.path.samefile(upperdir / "h", upperdir / "d" / "f")


def test_what_gnu_tar_unpacks_from_the_same_archive_is_the_same(upperdir, tmp_path):
    source = tmp_path / "source"
    (source / "d" / "sub").mkdir(parents=True)
    (source / "d" / "f").write_bytes(os.urandom(100_000))
    (source / "d" / "f").chmod(0o4755)
    (source / "d" / "sub").chmod(0o2555)
    (source / "link").symlink_to("/d/f")
    os.link(source / "d" / "f", source / "hard")
    os.mkfifo(source / "fifo")
    os.setxattr(source / "d" / "f", "user.note", b"\0\xff")
    os.utime(source / "link", (LONG_AGO, LONG_AGO), follow_symlinks=False)
    options = ["--xattrs", "--xattrs-include=*", "--format=pax"]
    subprocess.run(["tar", *options, "-C", source, "-cf", tmp_path / "t", "."], check=True)
    (tmp_path / "theirs").mkdir()
    subprocess.run(["tar", *options, "-C", tmp_path / "theirs", "-xpf", tmp_path / "t"], check=True)
    with open(tmp_path / "t", "rb") as archive:
        losses = apply_layer(archive, str(upperdir), userxattr=True)
    ours, theirs = tree_of_directory(upperdir), tree_of_directory(tmp_path / "theirs")
    assert differences(ours, theirs) == []
    assert (losses.devices, losses.owners, losses.xattrs) == ([], 0, 0)


def test_metadata_is_that_of_the_member_to_the_nanosecond(upperdir):
    fields = {"mode": 0o2751, "pax_headers": {"mtime": "1600000000.123456789"}}
    apply(upperdir, ("d", DIR, "", fields), ("d/f", FILE, "x", fields))
    for name in ("d", "d/f"):
        status = os.lstat(upperdir / name)
        assert stat.S_IMODE(status.st_mode) == 0o2751
        assert status.st_mtime_ns == LONG_AGO * 10**9 + 123456789


def test_a_directory_may_forbid_to_write_into_it(upperdir):
    apply(upperdir, ("d", DIR, "", {"mode": 0o500}), ("d/e/f", FILE, "x"))
    assert contents(upperdir) == {"d/": "", "d/e/": "", "d/e/f": "x"}
    assert stat.S_IMODE(os.lstat(upperdir / "d").st_mode) == 0o500


def test_names_are_below_the_root_however_they_begin(upperdir):
    apply(upperdir, ("/abs", FILE, "1"), ("./dot", FILE, "2"), ("a//b/./../c/", FILE, "3"))
    assert contents(upperdir) == {"abs": "1", "dot": "2", "a/": "", "a/c": "3"}


def test_the_root_gets_the_metadata_of_its_member(upperdir):
    apply(upperdir, ("./", DIR, "", {"mode": 0o1711}), ("f", FILE, ""))
    status = os.lstat(upperdir)
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o1711, LONG_AGO)


def test_a_whiteout_hides_a_name_of_the_layers_below(upperdir):
    apply(upperdir, ("d/.wh.gone", FILE, ""), (".wh.also", FILE, ""))
    assert contents(upperdir) == {"d/": "", "d/gone": None, "also": None}


def test_an_opaque_marker_makes_the_directory_opaque_before_and_after_its_members(upperdir):
    apply(upperdir, ("a/.wh..wh..opq", FILE, ""), ("a/f", FILE, "1"))
    apply(upperdir, ("b/f", FILE, "1"), ("b/.wh..wh..opq", FILE, ""))
    assert contents(upperdir) == {"a/": "opaque", "a/f": "1", "b/": "opaque", "b/f": "1"}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_opaque_marker_at_the_root_hides_each_name_that_is_below(upperdir, lower, place):
    (lower / "d").mkdir()
    for name in ("gone", "changed", "d/gone"):
        (lower / name).write_text("below")
    members = [("changed", FILE, "new"), ("d/new", FILE, "new")]
    members.insert(place, (".wh..wh..opq", FILE, ""))
    apply(upperdir, *members, lowerdirs=[lower])
    assert contents(upperdir) == {
        "gone": None, "changed": "new", "d/": "opaque", "d/new": "new",
    }  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_whiteout_hides_nothing_of_its_own_layer(upperdir, order):
    file = [(".wh.f", FILE, ""), ("f", FILE, "new")]
    directory = [(".wh.d", FILE, ""), ("d/new", FILE, "new")]
    apply(upperdir, *(file[index] for index in order), *(directory[index] for index in order))
    assert contents(upperdir) == {"f": "new", "d/": "opaque", "d/new": "new"}


def test_a_directory_member_in_place_of_a_whiteout_is_opaque(upperdir):
    apply(upperdir, (".wh.d", FILE, ""), ("d", DIR, "", {"mode": 0o711}))
    assert contents(upperdir) == {"d/": "opaque"}
    assert stat.S_IMODE(os.lstat(upperdir / "d").st_mode) == 0o711


def test_a_device_of_number_zero_is_a_whiteout(upperdir):
    apply(upperdir, ("gone", tarfile.CHRTYPE, ""))
    assert contents(upperdir) == {"gone": None}


def test_names_that_aufs_reserved_mean_nothing(upperdir):
    apply(upperdir, (".wh..wh.plnk", DIR, ""), (".wh..wh.plnk/1.2", FILE, ""), ("f", FILE, ""))
    assert contents(upperdir) == {"f": ""}


def test_of_several_members_the_last_counts(upperdir):
    apply(
        upperdir,
        ("a", FILE, "1"), ("a", FILE, "2"),
        ("b", FILE, "1"), ("b", DIR, ""), ("b/f", FILE, "2"),
        ("c/d/e", FILE, "1"), ("c", FILE, "2"),
        ("l", LINK, "a"), ("l", FILE, "2"),
        ("m", FILE, "1"), ("m", LINK, "a"),
    )  # fmt: skip
    assert contents(upperdir) == {
        "a": "2", "b/": "", "b/f": "2", "c": "2", "l": "2", "m": "-> a",
    }  # fmt: skip
    assert contents(upperdir)["a"] == "2"


def test_a_removed_directorys_metadata_is_not_given_to_its_successor(upperdir):
    apply(
        upperdir,
        ("d/sub", DIR, "", {"mode": 0o711}),
        ("d", FILE, "x"),
        ("d", LINK, "elsewhere"),
        ("elsewhere/sub", DIR, "", {"mode": 0o755}),
    )
    assert stat.S_IMODE(os.lstat(upperdir / "elsewhere" / "sub").st_mode) == 0o755


def test_an_implied_directory_keeps_what_it_has_below(upperdir, lower, tmp_path):
    (lower / "d" / "e").mkdir(parents=True)
    os.setxattr(lower / "d" / "e", "user.note", b"kept")
    (lower / "d" / "e").chmod(0o2711)
    (lower / "d").chmod(0o700)
    for name in ("d/e", "d"):
        os.utime(lower / name, (LONG_AGO, LONG_AGO))
    deeper = tmp_path / "deeper"
    (deeper / "d").mkdir(parents=True)
    apply(upperdir, ("d/e/f", FILE, "x"), lowerdirs=[lower, deeper])
    for name, mode in (("d", 0o700), ("d/e", 0o2711)):
        status = os.lstat(upperdir / name)
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (mode, LONG_AGO)
    assert os.getxattr(upperdir / "d" / "e", "user.note") == b"kept"


def test_a_directory_member_has_its_own_metadata_whatever_is_below(upperdir, lower):
    (lower / "d").mkdir(mode=0o700)
    apply(upperdir, ("d/f", FILE, "x"), ("d", DIR, ""), lowerdirs=[lower])
    assert stat.S_IMODE(os.lstat(upperdir / "d").st_mode) == 0o755


@pytest.mark.parametrize("hidden_by", ["a whiteout below", "an opaque parent", "a whiteout here"])
def test_an_implied_directory_takes_nothing_from_what_is_hidden(
    upperdir, lower, tmp_path, hidden_by
):
    (lower / "p" / "d").mkdir(parents=True)
    (lower / "p" / "d").chmod(0o700)
    middle = tmp_path / "middle"
    (middle / "p").mkdir(parents=True)
    members = [("p/d/f", FILE, "x")]
    match hidden_by:
        case "a whiteout below":
            os.mknod(middle / "p" / "d", stat.S_IFCHR)
        case "an opaque parent":
            members.insert(0, ("p/.wh..wh..opq", FILE, ""))
        case _:
            members.insert(0, ("p/.wh.d", FILE, ""))
    apply(upperdir, *members, lowerdirs=[middle, lower])
    assert stat.S_IMODE(os.lstat(upperdir / "p" / "d").st_mode) == 0o755


def test_a_link_below_in_an_implied_directorys_place_is_not_followed(upperdir, lower, tmp_path):
    (tmp_path / "outside").mkdir()
    (lower / "d").symlink_to(tmp_path / "outside")
    apply(upperdir, ("d/f", FILE, "x"), lowerdirs=[lower])
    assert contents(upperdir) == {"d/": "", "d/f": "x"}
    assert os.listdir(tmp_path / "outside") == []


def test_a_hard_link_to_a_file_below_brings_it_up(upperdir, lower):
    (lower / "d").mkdir()
    (lower / "d" / "f").write_text("from below")
    (lower / "d" / "f").chmod(0o751)
    os.utime(lower / "d" / "f", (LONG_AGO, LONG_AGO))
    apply(upperdir, ("h", HARD, "d/f"), lowerdirs=[lower])
    assert contents(upperdir) == {"d/": "", "d/f": "from below", "h": "from below"}
    status = os.lstat(upperdir / "h")
    assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (2, 0o751)
    assert status.st_mtime == LONG_AGO


def test_a_hard_link_to_itself_is_nothing(upperdir):
    apply(upperdir, ("f", FILE, "x"), ("f", HARD, "./f"))
    assert contents(upperdir) == {"f": "x"}


def test_a_hard_link_replaces_what_is_there(upperdir):
    apply(upperdir, ("f", FILE, "x"), ("h", FILE, "old"), ("h", HARD, "/f"))
    assert contents(upperdir) == {"f": "x", "h": "x"}


def test_overlays_own_xattrs_and_host_policies_are_not_taken_over(upperdir):
    prefix = "SCHILY.xattr."
    names = ("user.overlay.opaque", "trusted.overlay.redirect", "security.selinux", "user.fine")
    fields = {"pax_headers": {prefix + name: "y" for name in names}}
    apply(upperdir, ("d", DIR, "", fields))
    assert os.listxattr(upperdir / "d") == ["user.fine"]


def test_what_this_user_may_not_have_is_noted(upperdir, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    def unmapped(*_, **__):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "mknod", denied)
    monkeypatch.setattr(os, "fchown", unmapped)
    monkeypatch.setattr(os, "setxattr", denied)
    losses = apply(
        upperdir,
        ("dev/null", tarfile.CHRTYPE, "", {"devmajor": 1, "devminor": 3}),
        ("dev/link", HARD, "dev/null"),
        ("f", FILE, "x", {"pax_headers": {"SCHILY.xattr.user.a": "b"}}),
    )
    assert losses.devices == ["dev/null", "dev/link"]
    assert (losses.owners, losses.xattrs) == (2, 1)
    assert contents(upperdir) == {"dev/": "", "f": "x"}


def test_no_space_left_is_an_error_of_the_store(upperdir, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="no space"):
        apply(upperdir, ("f", FILE, "x"))


def test_no_descriptor_is_left_open(upperdir):
    before = os.listdir("/proc/self/fd")
    apply(upperdir, ("a/b/c", FILE, "x"), ("d", HARD, "a/b/c"), ("e", LINK, "a"), ("e/f", FILE, ""))
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("x/y", FILE, ""), ("../z", FILE, ""))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_a_blob_is_unpacked_and_named_by_its_plain_bytes(upperdir, compression):
    import bz2
    import gzip
    import lzma

    archive = archive_of(("f", FILE, "x" * 100_000))
    compress = {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}
    unpacked = unpack_blob(
        io.BytesIO(compress[compression](archive)), str(upperdir), userxattr=True
    )
    assert unpacked.layer.diff_id == sha256_digest(archive)
    assert unpacked.layer.size_bytes == len(archive)
    assert contents(upperdir) == {"f": "x" * 100_000}


def test_a_blob_that_is_damaged_is_refused_and_leaves_no_thread(upperdir):
    import gzip
    import threading

    blob = gzip.compress(archive_of(("f", FILE, "x" * 100_000)))
    with pytest.raises(BadArchiveError):
        unpack_blob(io.BytesIO(blob[:-20]), str(upperdir), userxattr=True)
    assert threading.active_count() == 1


def test_what_pack_made_apply_unpacks(upperdir, tmp_path):
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / "f").write_text("x")
    os.mknod(tree / "d" / "gone", stat.S_IFCHR)
    marks.make_opaque(str(tree / "d"), userxattr=True)
    target = io.BytesIO()
    layer = pack(str(tree), target, userxattr=True)
    apply_layer(io.BytesIO(target.getvalue()), str(upperdir), userxattr=True)
    assert contents(upperdir) == contents(tree)
    assert pack(str(upperdir), userxattr=True) == layer


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a/b", ("a", "b")), ("/", ()), ("./", ()), ("a/..", ()), ("a/../b", ("b",)), (".a", (".a",))],
)
def test_a_members_name_is_a_path_below_the_root(name, parts):
    assert member_path(name) == parts
