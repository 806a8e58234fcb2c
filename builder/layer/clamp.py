"""SOURCE_DATE_EPOCH in a tree: no time of a file is later. Spec: reproducible-builds.org."""

from __future__ import annotations

import os

_SECOND_NS = 1_000_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def clamp_times(upperdir: str, epoch: int) -> None:
    """Set every mtime below `upperdir`, its own included, that is later than `epoch` to it.

    `epoch` is in seconds. No link is followed; the tree is this process's alone.
    """
    latest_ns = epoch * _SECOND_NS
    here = os.open(upperdir, _DIRECTORY)
    try:
        waiting = [_clamp_directory(here, latest_ns)]  # directories to enter, by depth
        while waiting:
            # one descriptor, however deep: ".." leads back, since nobody else moves anything
            name = waiting[-1].pop() if waiting[-1] else ".."
            if name == "..":
                waiting.pop()
                if not waiting:
                    return
            there = os.open(name, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = there
            if name != "..":
                waiting.append(_clamp_directory(here, latest_ns))
    finally:
        os.close(here)


def _clamp_directory(directory_fd: int, latest_ns: int) -> list[str]:
    """Clamp the directory and what is in it; the names of its directories."""
    with os.scandir(directory_fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name in (".", *(name for name, is_directory in found if not is_directory)):
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if status.st_mtime_ns > latest_ns:
            times = (min(status.st_atime_ns, latest_ns), latest_ns)
            os.utime(name, ns=times, dir_fd=directory_fd, follow_symlinks=False)
    return [name for name, is_directory in found if is_directory]
