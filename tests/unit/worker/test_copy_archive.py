"""ADD of archives: what comes out, and what hostile members cannot do."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Iterator

import pytest
import zstandard

from builder.errors import StepFailedError
from support.copying import Copying, write_tree

FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def copying(tmp_path) -> Iterator[Copying]:
    made = Copying(tmp_path)
    yield made
    made.close()


def tar(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of (name, kind, text or target); a file's time is 800000000, a mode follows a `%`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name.partition("%")[0])
            info.type = kind
            info.mode = int(name.partition("%")[2] or ("755" if kind == DIRECTORY else "644"), 8)
            info.mtime = 800000000
            info.uid, info.gid = os.getuid(), os.getgid()
            info.linkname = text if kind in (LINK, HARD) else ""
            content = text.encode() if kind == FILE else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def added(copying: Copying, *members: tuple[str, bytes, str], dest: str = "/out", **fields):
    (copying.source / "x.tar").write_bytes(tar(*members))
    return copying.copy("x.tar", dest=dest, unpack=True, **fields)


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress],
)
def test_an_archive_of_every_compression_is_unpacked_whatever_its_name(copying, compress):
    (copying.source / "some.bin").write_bytes(compress(tar(("f", FILE, "F"))))
    copied = copying.copy("some.bin", dest="/out/", unpack=True)
    assert copied.names("out") == ["f"]
    assert copied.text("out/f") == "F"
    assert copied.mode("out") == 0o755


@pytest.mark.parametrize(
    "content", [b"", b"text", bytes(10240), gzip.compress(b"text", mtime=0), b"BZhx"]
)
def test_what_is_no_archive_is_copied(copying, content):
    (copying.source / "x.tar").write_bytes(content)
    assert copying.copy("x.tar", dest="/out/", unpack=True).names("out") == ["x.tar"]


def test_copy_does_not_unpack(copying):
    (copying.source / "x.tar").write_bytes(tar(("f", FILE, "F")))
    assert copying.copy("x.tar", dest="/out/").names("out") == ["x.tar"]


def test_an_archive_inside_a_directory_stays_an_archive(copying):
    write_tree(copying.source, {"d/": ""})
    (copying.source / "d/x.tar").write_bytes(tar(("f", FILE, "F")))
    assert copying.copy("d", dest="/out", unpack=True).names("out") == ["x.tar"]


def test_an_archive_that_breaks_off_fails_the_step(copying):
    whole = gzip.compress(tar(("f", FILE, os.urandom(100_000).hex())))
    (copying.source / "x.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StepFailedError, match=r'"x.tar": .*truncated'):
        copying.copy("x.tar", dest="/out/", unpack=True)


def test_modes_times_links_and_hard_links_of_members_are_kept(copying):
    copied = added(
        copying,
        ("d/%2770", DIRECTORY, ""),
        ("d/suid%4755", FILE, "x"),
        ("d/hard%4755", HARD, "d/suid"),
        ("soft", LINK, "d/./suid"),
        ("none%400", FILE, ""),
    )
    assert copied.mode("out/d") == 0o2770
    assert copied.mode("out/d/suid") == 0o4755
    assert (copied.upper / "out/d/suid").samefile(copied.upper / "out/d/hard")
    assert os.readlink(copied.upper / "out/soft") == "d/./suid"
    assert copied.mode("out/none") == 0o400
    for name in ("out/d", "out/d/suid", "out/soft"):
        assert (copied.upper / name).lstat().st_mtime == 800000000


def test_implied_directories_are_0755_and_a_later_member_sets_its_mode(copying):
    copied = added(copying, ("a/b/f", FILE, ""), ("c/d/g", FILE, "y"), ("c/%700", DIRECTORY, ""))
    assert copied.mode("out/a/b") == 0o755
    assert copied.mode("out/c") == 0o700
    assert copied.text("out/c/d/g") == "y"


def test_of_members_with_one_name_the_last_wins_whatever_its_kind(copying):
    copied = added(
        copying,
        ("f", FILE, "first"),
        ("d/in", FILE, "x"),
        ("l", LINK, "f"),
        ("./f", FILE, "second"),
        ("./d", FILE, "now a file"),
        ("./l", FILE, "now plain"),
    )
    assert copied.names("out") == ["d", "f", "l"]
    assert copied.text("out/f") == "second"
    assert copied.text("out/d") == "now a file"
    assert not (copied.upper / "out/l").is_symlink()


def test_a_directory_that_was_replaced_and_came_back_shows_nothing_of_the_image(copying):
    write_tree(copying.image, {"out/d/old": ""})
    copied = added(copying, ("d", FILE, "x"), ("d/", DIRECTORY, ""), ("d/new", FILE, ""))
    prefix = "trusted" if os.geteuid() == 0 else "user"
    assert copied.names("out/d") == ["new"]
    assert os.getxattr(copied.upper / "out/d", f"{prefix}.overlay.opaque") == b"y"


def test_a_member_replaces_a_link_of_the_image_and_goes_through_one_above_it(copying):
    write_tree(copying.image, {"alias": "-> /real", "real/": "", "f": "-> /etc/passwd"})
    copied = added(
        copying,
        ("alias/d/", DIRECTORY, ""),
        ("alias/d/f", FILE, "x"),
        ("alias/d/h", HARD, "alias/d/f"),
        ("f", FILE, "mine"),
        dest="/",
    )
    assert copied.names() == ["f", "real"]
    assert (copied.upper / "real/d/f").samefile(copied.upper / "real/d/h")
    assert copied.text("f") == "mine"


def test_names_stay_below_the_destination(copying):
    copied = added(
        copying,
        ("/abs", FILE, "1"),
        ("../../up", FILE, "2"),
        ("a/../../../mid", FILE, "3"),
        ("esc", LINK, "/../../../../.."),
        ("esc/through", FILE, "4"),
        ("up", LINK, "../../.."),
        dest="/out/deep",
    )
    assert copied.names() == ["out"]
    assert copied.names("out") == ["deep"]
    assert copied.names("out/deep") == ["abs", "esc", "mid", "through", "up"]


def test_links_are_kept_byte_for_byte(copying):
    targets = ["/etc/passwd", "../../../../etc", "no/where", "a//b/./c"]
    copied = added(copying, *((f"l{i}", LINK, text) for i, text in enumerate(targets)))
    assert [os.readlink(copied.upper / f"out/l{i}") for i in range(4)] == targets


def test_a_hard_link_cannot_reach_out_of_the_destination(copying):
    write_tree(copying.image, {"secret": "s"})
    with pytest.raises(StepFailedError, match="was not found below the destination"):
        added(copying, ("h", HARD, "../secret"))


def test_a_hard_link_to_a_file_of_the_image_takes_it_into_the_layer(copying):
    write_tree(copying.image, {"out/there": "old"})
    (copying.image / "out/there").chmod(0o640)
    copied = added(copying, ("h%640", HARD, "there"))
    assert (copied.upper / "out/h").samefile(copied.upper / "out/there")
    assert copied.text("out/h") == "old"


def test_an_archive_is_not_unpacked_onto_a_file(copying):
    write_tree(copying.image, {"out": "file"})
    with pytest.raises(StepFailedError, match="not a directory"):
        added(copying, ("g", FILE, ""))


def test_a_destination_that_is_a_link_is_followed(copying):
    write_tree(copying.image, {"alias": "-> /real", "real/": ""})
    assert added(copying, ("g", FILE, "G"), dest="/alias").text("real/g") == "G"


def test_names_that_mean_removed_files_are_refused(copying):
    with pytest.raises(StepFailedError, match=r"\.wh\.x"):
        added(copying, ("d/.wh.x", FILE, ""))


def test_chmod_does_not_touch_members(copying):
    write_tree(copying.source, {"plain": "p"})
    (copying.source / "x.tar").write_bytes(tar(("f%751", FILE, "x")))
    copied = copying.copy("x.tar", "plain", dest="/out/", unpack=True, chmod="0600")
    assert copied.mode("out/f") == 0o751
    assert copied.mode("out/plain") == 0o600
    assert copied.mode("out") == 0o755


def test_archives_that_a_wildcard_matches_are_unpacked_over_each_other(copying):
    write_tree(copying.source, {"plain": "p"})
    (copying.source / "a.tar").write_bytes(tar(("one", FILE, "1"), ("same", FILE, "from a")))
    (copying.source / "b.tar").write_bytes(tar(("two", FILE, "2"), ("same", FILE, "from b")))
    copied = copying.copy("*.tar", "plain", dest="/d/", unpack=True)
    assert copied.names("d") == ["one", "plain", "same", "two"]
    assert copied.text("d/same") == "from b"


def test_later_times_become_the_epoch(copying):
    copied = added(copying, ("d/f", FILE, ""), epoch=1000)
    for name in ("out", "out/d", "out/d/f"):
        assert (copied.upper / name).lstat().st_mtime == 1000


def test_a_link_in_a_circle_on_the_way_is_an_error(copying):
    with pytest.raises(StepFailedError, match="too many levels"):
        added(copying, ("a", LINK, "b"), ("b", LINK, "a"), ("a/f", FILE, ""))
