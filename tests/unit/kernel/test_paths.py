"""Paths below a hostile root, by openat2 and by the walk that stands in for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.kernel import paths


@pytest.fixture(params=["openat2", "walk"])
def root_fd(request, tmp_path: Path, monkeypatch):
    """A root with links that try to leave it; the secret stands outside."""
    if request.param == "walk":
        monkeypatch.setattr(paths, "openat2_works", lambda: False)
    elif not paths.openat2_works():
        pytest.skip("this kernel has no openat2")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (root / "absolute").symlink_to("/etc")
    (root / "up").symlink_to("../../../../etc")
    (root / "escape").symlink_to(str(tmp_path / "secret"))
    (root / "sideways").symlink_to("../secret")
    (root / "circle").symlink_to("circle")
    (root / "dangling").symlink_to("/etc/made")
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def content(fd: int) -> str:
    with open(fd, encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize(
    "path",
    [
        "etc/file",
        "/etc/file",
        "absolute/file",
        "up/file",
        "../../etc/file",
        "etc/../../../etc/file",
        "etc/./file",
        "/../absolute//file",
    ],
)
def test_every_way_in_a_root_stays_in_it(root_fd: int, path: str):
    assert content(paths.open_in_root(root_fd, path, os.O_RDONLY)) == "inside"


@pytest.mark.parametrize("path", ["escape", "sideways", "../secret", "/escape"])
def test_what_stands_outside_the_root_is_not_there(root_fd: int, path: str):
    with pytest.raises(FileNotFoundError) as caught:
        paths.open_in_root(root_fd, path, os.O_RDONLY)
    assert caught.value.filename == path


@pytest.mark.parametrize(
    "path", ["..", "/etc/file", "absolute/file", "up/file", "sideways", "escape"]
)
def test_beneath_a_root_the_way_out_is_an_error(root_fd: int, path: str):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by errno
        paths.open_beneath(root_fd, path, os.O_RDONLY)
    assert caught.value.errno == errno.EXDEV


def test_a_circle_of_links_ends(root_fd: int):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by errno
        paths.open_in_root(root_fd, "circle", os.O_RDONLY)
    assert caught.value.errno == errno.ELOOP


def test_without_links_every_link_is_refused(root_fd: int):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by errno
        paths.open_beneath(root_fd, "dangling", os.O_RDONLY, links=False)
    assert caught.value.errno == errno.ELOOP


def test_a_last_link_is_opened_itself_with_nofollow(root_fd: int):
    fd = paths.open_in_root(root_fd, "absolute", os.O_PATH | os.O_NOFOLLOW)
    assert os.readlink("", dir_fd=fd) == "/etc"
    os.close(fd)


def test_a_file_is_made_where_a_dangling_link_leads_inside(root_fd: int):
    flags = os.O_CREAT | os.O_WRONLY
    os.close(paths.open_in_root(root_fd, "dangling", flags, 0o640))
    made = os.stat("etc/made", dir_fd=root_fd)
    assert made.st_mode & 0o777 == 0o640


def test_descriptors_are_closed_on_exec(root_fd: int):
    fd = paths.open_in_root(root_fd, "etc/file", os.O_RDONLY)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_file_asked_for_as_a_directory_is_an_error(root_fd: int):
    with pytest.raises(NotADirectoryError):
        paths.open_in_root(root_fd, "etc/file/", os.O_RDONLY)


def test_a_magic_link_of_proc_leads_nowhere():
    fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP by openat2
        paths.open_in_root(fd, "self/root/etc/passwd", os.O_RDONLY)
    os.close(fd)


def test_a_failed_open_leaves_no_descriptor(root_fd: int):
    before = len(os.listdir("/proc/self/fd"))
    for path in ("missing/x", "circle", "etc/file/x"):
        with pytest.raises(OSError):  # noqa: PT011 - each has its own errno
            paths.open_in_root(root_fd, path, os.O_RDONLY)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_with_a_nul_is_refused(root_fd: int):
    with pytest.raises(ValueError, match="null byte"):
        paths.open_in_root(root_fd, "etc\0/file", os.O_RDONLY)
