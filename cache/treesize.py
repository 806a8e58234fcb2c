"""How many bytes a tree's files hold, whoever made it and whatever happens in it meanwhile."""

from __future__ import annotations

import os
import stat

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def tree_bytes(path: str) -> int:
    """The sizes of the files in the tree, each inode counted once; 0 where it is missing.

    However deep it is: one descriptor is moved down, and up again by `..`. A directory that is
    moved away meanwhile ends the walk with what was counted.
    """
    try:
        here = _opened(path, None)
    except FileNotFoundError:
        return 0
    walk = _Walk()
    try:
        places, waiting = [_place(here)], [walk.directories(here)]
        while waiting:
            if waiting[-1]:
                below = _entered(here, waiting[-1].pop())
                if below is None:
                    continue
                places.append(_place(below))
                waiting.append(walk.directories(below))
            else:
                places.pop()
                waiting.pop()
                below = _opened("..", here)
            os.close(here)
            here = below
            if places and _place(here) != places[-1]:
                break
    finally:
        os.close(here)
    return walk.total_bytes


class _Walk:
    def __init__(self) -> None:
        self.total_bytes = 0
        self._linked: set[tuple[int, int]] = set()

    def directories(self, directory_fd: int) -> list[str]:
        """Count the directory's files; the names of its directories."""
        directories: list[str] = []
        for name in os.listdir(directory_fd):
            try:
                status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.append(name)
            elif stat.S_ISREG(status.st_mode) and self._is_new(status):
                self.total_bytes += status.st_size
        return directories

    def _is_new(self, status: os.stat_result) -> bool:
        if status.st_nlink == 1:
            return True
        key = (status.st_dev, status.st_ino)
        is_new = key not in self._linked
        self._linked.add(key)
        return is_new


def _place(directory_fd: int) -> tuple[int, int]:
    status = os.fstat(directory_fd)
    return status.st_dev, status.st_ino


def _opened(path: str, directory_fd: int | None) -> int:
    try:
        return os.open(path, _FLAGS | os.O_NOATIME, dir_fd=directory_fd)
    except PermissionError:  # not its owner, but perhaps allowed to read it
        return os.open(path, _FLAGS, dir_fd=directory_fd)


def _entered(directory_fd: int, name: str) -> int | None:
    """A directory in this one; None where it is gone, a link by now, or not for us to read."""
    try:
        return _opened(name, directory_fd)
    except OSError:
        return None
