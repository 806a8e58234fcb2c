"""Docker's rules for what `cp` makes of two paths; below a root that stands for a container's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.runtime.copying.entries import CopyError
from builder.runtime.copying.extract import extract
from builder.runtime.copying.places import (
    Place,
    opened_destination,
    opened_source,
    parse_place,
)
from builder.runtime.copying.walk import walk
from cache.record import replace

Copy = Callable[..., None]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("c:/a", Place("c", "/a")),
        ("c:a:b", Place("c", "a:b")),
        ("c:", Place("c", "")),
        ("/a:b", Place("", "/a:b")),
        ("./a:b", Place("", "./a:b")),
        ("../a", Place("", "../a")),
        ("a", Place("", "a")),
        (":a", Place("", ":a")),
    ],
)
def test_a_place_is_in_a_container_or_on_this_machine(text, place):
    assert parse_place(text) == place


@pytest.fixture
def root(tmp_path) -> Path:
    """A container's root: /dir, /file, and links out of it that must stay inside."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "inner").write_text("inner")
    (root / "file").write_text("file")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "to-dir").symlink_to("/dir")
    (root / "dangling").symlink_to("/dir/made-by-link")
    (tmp_path / "outside").mkdir()
    return root


@pytest.fixture
def copy_in(root, tmp_path) -> Copy:
    """Copies a path of this machine to one of the root's."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def copy(source: str, target: str, *, follow: bool = False) -> None:
        with (
            opened_source(None, f"{tmp_path}/{source}", follow=follow) as opened,
            opened_destination(root_fd, target, opened) as destination,
        ):
            extract(walk(opened.fd), replace(destination, keeps_owners=True))

    yield copy
    os.close(root_fd)


@pytest.fixture
def copy_out(root, tmp_path) -> Copy:
    """Copies a path of the root's to one of this machine."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def copy(source: str, target: str, *, follow: bool = False) -> None:
        with (
            opened_source(root_fd, source, follow=follow) as opened,
            opened_destination(None, str(tmp_path / target), opened) as destination,
        ):
            kept = replace(destination, keeps_owners=True, keeps_powers=False)
            extract(walk(opened.fd), kept)

    yield copy
    os.close(root_fd)


@pytest.fixture(autouse=True)
def sources(tmp_path) -> Path:
    """What is copied: src/{a,sub/b,link,hard}."""
    src = tmp_path / "src"
    (src / "sub").mkdir(parents=True)
    (src / "a").write_text("a")
    (src / "sub" / "b").write_text("b")
    (src / "link").symlink_to("a")
    os.link(src / "a", src / "hard")
    return src


def tree(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


def test_a_file_takes_a_new_name_or_goes_into_a_directory(copy_in, root):
    copy_in("src/a", "/new")
    copy_in("src/a", "/dir")
    copy_in("src/a", "dir/other")
    assert (root / "new").read_text() == "a"
    assert tree(root / "dir") == ["a", "inner", "other"]


def test_a_file_takes_the_place_of_a_file_and_leaves_the_old_one_to_who_has_it_open(copy_in, root):
    with (root / "file").open() as old:
        copy_in("src/a", "/file")
        assert old.read() == "file"
    assert (root / "file").read_text() == "a"


def test_a_directory_becomes_a_new_one_or_goes_into_one_that_is_there(copy_in, root):
    copy_in("src", "/new")
    copy_in("src", "/dir")
    whole = ["a", "hard", "link", "sub", "sub/b"]
    assert tree(root / "new") == whole
    assert tree(root / "dir" / "src") == whole


def test_a_dot_behind_a_slash_means_what_is_in_the_directory(copy_in, root):
    copy_in("src/.", "/dir")
    assert tree(root / "dir") == ["a", "hard", "inner", "link", "sub", "sub/b"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("src", "/file"),
        ("src/.", "/file"),
        ("src/a", "/file/"),
        ("src/a", "/missing/"),
        ("src/a", "/missing/x"),
        ("src", "/missing/x"),
        ("src/a", "/file/x"),
        ("src/a/", "/new"),
        ("src/nothing", "/new"),
    ],
)
def test_what_cannot_become_the_other_is_refused(copy_in, root, source, target):
    before = tree(root)
    with pytest.raises(CopyError):
        copy_in(source, target)
    assert tree(root) == before


def test_a_directory_does_not_take_the_place_of_a_file_inside(copy_in, root):
    (root / "dir" / "sub").write_text("in the way")
    with pytest.raises(CopyError, match="sub"):
        copy_in("src/.", "/dir")
    assert (root / "dir" / "sub").read_text() == "in the way"


def test_a_file_does_not_take_the_place_of_a_directory(copy_in, root):
    (root / "dir" / "a").mkdir()
    with pytest.raises(CopyError, match="a"):
        copy_in("src/.", "/dir")
    assert (root / "dir" / "a").is_dir()


def test_a_link_is_copied_as_one_unless_it_is_to_be_followed(copy_in, copy_out, root, tmp_path):
    copy_in("src/link", "/plain")
    copy_in("src/link", "/followed", follow=True)
    assert (root / "plain").is_symlink()
    assert (root / "followed").read_text() == "a"
    copy_out("/to-dir", "as-link")
    copy_out("/to-dir/", "as-directory")
    assert (tmp_path / "as-link").is_symlink()
    assert tree(tmp_path / "as-directory") == ["inner"]


def test_a_destination_that_is_a_link_means_what_it_leads_to(copy_in, root):
    copy_in("src/a", "/to-dir")
    copy_in("src/a", "/dangling")
    assert tree(root / "dir") == ["a", "inner", "made-by-link"]


def test_mode_time_and_hard_links_stay(copy_in, root, sources):
    (sources / "a").chmod(0o640)
    os.utime(sources / "a", ns=(5, 7_000_000_001))
    copy_in("src", "/new")
    status = (root / "new" / "a").stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime_ns == 7_000_000_001
    assert status.st_ino == (root / "new" / "hard").stat().st_ino


def test_holes_stay_holes(copy_in, root, sources):
    with (sources / "sparse").open("wb") as file:
        file.write(b"x")
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"y")
    copy_in("src/sparse", "/sparse")
    assert (root / "sparse").read_bytes() == (sources / "sparse").read_bytes()
    assert (root / "sparse").stat().st_blocks * 512 < 1 << 20


def test_what_is_copied_out_has_no_set_id_bit(copy_out, root, tmp_path):
    (root / "file").chmod(0o6755)
    copy_out("/file", "got")
    assert stat.S_IMODE((tmp_path / "got").stat().st_mode) == 0o755


def test_a_directory_that_was_there_keeps_its_mode(copy_in, root):
    (root / "dir").chmod(0o1777)
    copy_in("src/.", "/dir")
    assert stat.S_IMODE((root / "dir").stat().st_mode) == 0o1777
