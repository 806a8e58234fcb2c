"""Whoever owns a container's files gets nothing outside it by a copy. Docker's CVE-2018-15664."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.runtime.copying.archive import read_entries, write_entries
from builder.runtime.copying.entries import CopyError
from builder.runtime.copying.extract import Destination, extract
from builder.runtime.copying.places import opened_destination, opened_source
from builder.runtime.copying.walk import walk
from cache.record import replace
from cache.statedir import remove_tree


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def outside(tmp_path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    return outside


@pytest.fixture
def root_fd(root):
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def copied_in(root_fd: int, source: Path | str, target: str) -> None:
    with (
        opened_source(None, str(source), follow=False) as opened,
        opened_destination(root_fd, target, opened) as destination,
    ):
        extract(walk(opened.fd), replace(destination, keeps_owners=True))


def unpacked(root_fd: int, archive: bytes, base: str = "/") -> None:
    to = Destination(root_fd, base, follows_links=True, keeps_owners=True)
    extract(read_entries(io.BytesIO(archive)), to)


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    """Members as (name, type, text): the text is a file's content or where a link leads."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid = kind, os.geteuid(), os.getegid()
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                member.mode = 0o755
                tar.addfile(member)
    return packed.getvalue()


@pytest.mark.parametrize("path", ["../outside/secret", "/../../outside/secret", "link/secret"])
def test_no_source_path_leads_out_of_the_container(root, root_fd, outside, path):
    (root / "link").symlink_to(outside)
    with pytest.raises(CopyError), opened_source(root_fd, path, follow=True):
        pass


@pytest.mark.parametrize("target", ["/link", "/link/new", "/../outside/new", "/file-link"])
def test_no_destination_leads_out_of_the_container(root, root_fd, outside, tmp_path, target):
    (root / "link").symlink_to(outside)
    (root / "file-link").symlink_to(outside / "secret")
    (tmp_path / "mine").write_text("mine")
    with suppress(CopyError):  # its place inside is mostly not there
        copied_in(root_fd, tmp_path / "mine", target)
    assert {each.name: each.read_text() for each in outside.iterdir()} == {"secret": "secret"}


def test_a_copy_writes_through_no_link_that_is_in_its_way(root, root_fd, outside, tmp_path):
    (root / "dir").mkdir()
    (root / "dir" / "f").symlink_to(outside / "secret")
    (root / "dir" / "d").symlink_to(outside)
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("mine")
    with pytest.raises(CopyError):  # where the link leads inside the root, there is nothing
        copied_in(root_fd, source / "f", "/dir/f")
    assert (outside / "secret").read_text() == "secret"
    copied_in(root_fd, f"{source}/.", "/dir")
    assert (root / "dir" / "f").read_text() == "mine"
    assert not (root / "dir" / "f").is_symlink()
    (source / "d").mkdir()
    (source / "d" / "new").touch()
    with pytest.raises(CopyError):
        copied_in(root_fd, f"{source}/.", "/dir")
    assert [each.name for each in outside.iterdir()] == ["secret"]


def test_a_fifo_in_the_way_is_replaced_and_not_opened(root, root_fd, tmp_path):
    os.mkfifo(root / "pipe")
    (tmp_path / "mine").write_text("mine")
    copied_in(root_fd, tmp_path / "mine", "/pipe")
    assert (root / "pipe").read_text() == "mine"


def test_a_fifo_that_is_copied_is_not_read(root, root_fd):
    os.mkfifo(root / "pipe")
    with opened_source(root_fd, "/pipe", follow=True) as opened:
        assert [entry.kind for entry in walk(opened.fd)] == ["fifo"]


@pytest.mark.parametrize(
    "members",
    [
        (("../outside/new", tarfile.REGTYPE, "x"),),
        (("/../../outside/new", tarfile.REGTYPE, "x"),),
        (("l", tarfile.SYMTYPE, "../outside"), ("l/new", tarfile.REGTYPE, "x")),
        (("l", tarfile.SYMTYPE, "{outside}"), ("l/new", tarfile.REGTYPE, "x")),
        (("l", tarfile.SYMTYPE, "{outside}/secret"), ("l", tarfile.REGTYPE, "x")),
        (("h", tarfile.LNKTYPE, "../outside/secret"), ("h", tarfile.REGTYPE, "x")),
        (("l", tarfile.SYMTYPE, "{outside}"), ("h", tarfile.LNKTYPE, "l/secret")),
        (("d", tarfile.SYMTYPE, "{outside}"), ("d", tarfile.DIRTYPE, "")),
        (("a", tarfile.SYMTYPE, "a"), ("a/b", tarfile.REGTYPE, "x")),
    ],
)
def test_no_archive_reaches_out_of_the_container(root, root_fd, outside, members):
    archive = tar_of(*((n, k, text.format(outside=outside)) for n, k, text in members))
    with suppress(CopyError):
        unpacked(root_fd, archive)
    assert {each.name: each.read_text() for each in outside.iterdir()} == {"secret": "secret"}
    for each in root.rglob("*"):
        assert each.is_symlink() or not each.samefile(outside / "secret")


def test_an_archive_follows_the_links_of_the_container_inside_it(root, root_fd):
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib")
    unpacked(root_fd, tar_of(("lib/new", tarfile.REGTYPE, "x")))
    assert (root / "usr" / "lib" / "new").read_text() == "x"


def test_a_directory_that_becomes_a_link_during_the_copy_leads_nowhere(
    root, root_fd, outside, tmp_path
):
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    for number in range(20):
        (source / "d" / f"f{number}").write_text("mine")
    (root / "d").mkdir()
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            with suppress(OSError):
                os.rename(root / "d", root / "aside")
                os.symlink(outside, root / "d")
                os.unlink(root / "d")
                os.rename(root / "aside", root / "d")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(20):
            with suppress(CopyError, OSError):
                copied_in(root_fd, f"{source}/.", "/")
            with suppress(CopyError), opened_source(root_fd, "/d/secret", follow=True):
                raise AssertionError("a file of this machine was opened")
    finally:
        done.set()
        swapper.join()
    assert [each.name for each in outside.iterdir()] == ["secret"]


def open_below(root):
    """This process's descriptors in the tree; other threads may open and close others."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            place = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        except OSError:  # a path longer than the kernel says
            place = str(root)
        if place.startswith(str(root)):
            found.add(fd)
    return found


def test_what_is_nested_too_deeply_is_refused_and_leaves_no_descriptor(root, root_fd):
    deep = root_fd
    opened = []
    for _ in range(1100):
        os.mkdir("d", dir_fd=deep)
        deep = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=deep)
        opened.append(deep)
        if len(opened) > 2:
            os.close(opened.pop(0))
    for fd in opened:
        os.close(fd)
    before = open_below(root)
    try:
        with opened_source(root_fd, "/d", follow=False) as source, suppress(CopyError):
            list(walk(source.fd))
        assert open_below(root) == before
    finally:
        remove_tree(str(root / "d"))  # too deep for what cleans up after tests


names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})
trees = st.dictionaries(names, st.binary(max_size=2000), max_size=6)


@settings(max_examples=30, deadline=None)
@given(trees, names)
def test_a_tree_comes_out_of_its_archive_as_it_was(tmp_path_factory, files, top):
    base = tmp_path_factory.mktemp("tree")
    source, target = base / "source", base / "target"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    for name, content in files.items():
        for folder in (source, source / "sub"):
            with suppress(OSError):  # longer than a name may be in bytes, or "sub" itself
                (folder / name).write_bytes(content)
    packed = io.BytesIO()
    with opened_source(None, str(source), follow=False) as opened:
        write_entries(walk(opened.fd), top, packed)
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpacked(fd, packed.getvalue(), "")
    except CopyError:  # the top's name has more bytes than a file name may
        assert len(top.encode()) > 255
        return
    finally:
        os.close(fd)
    assert contents(target / top) == contents(source)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in folder.rglob("*")
    }
