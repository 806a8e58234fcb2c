"""Places inside the root filesystem to mount on: opened without leaving it, made where missing."""

from __future__ import annotations

import errno
import os
import stat

from builder.kernel.paths import open_in_root


def open_target(root_fd: int, path: str, *, is_directory: bool) -> int:
    """An O_PATH descriptor of `path` inside the root, links followed; made with its parents.

    OSError with EBUSY for the root itself: a link may have led there.
    """
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        _make(root_fd, path, is_directory=is_directory)
        fd = open_in_root(root_fd, path, os.O_PATH)
    found, root = os.fstat(fd), os.fstat(root_fd)
    if (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
    return fd


def make_directory(root_fd: int, path: str) -> None:
    """Make a working directory, with its parents, where it is missing."""
    try:
        os.close(open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY))
    except FileNotFoundError:
        os.close(open_target(root_fd, path, is_directory=True))


def open_plain_directory(root_fd: int, name: str) -> int:
    """The directory `name` of the root; made where missing. A link in its place is ENOTDIR.

    For /proc, /sys and /dev: an image that has a link there wants its files to be taken for ours.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return open_in_root(root_fd, name, flags)
    except FileNotFoundError:
        _make(root_fd, name, is_directory=True)
        return open_in_root(root_fd, name, flags)


def _make(root_fd: int, path: str, *, is_directory: bool) -> None:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    for depth, name in enumerate(parts):
        last = depth == len(parts) - 1
        parent_fd = open_in_root(root_fd, "/" + "/".join(parts[:depth]), os.O_PATH)
        try:
            if name != "..":
                _make_entry(parent_fd, name, is_directory=is_directory or not last)
        finally:
            os.close(parent_fd)


def _make_entry(parent_fd: int, name: str, *, is_directory: bool) -> None:
    try:
        if is_directory:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(name, flags, 0o644, dir_fd=parent_fd))
    except FileExistsError:
        return


def is_directory(fd: int) -> bool:
    """Whether an O_PATH descriptor names a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)
