"""SOURCE_DATE_EPOCH in a tree: no time of a file is later. Spec: reproducible-builds.org."""

from __future__ import annotations

import os

_SECOND_NS = 1_000_000_000


def clamp_times(upperdir: str, epoch: int) -> None:
    """Set every mtime below `upperdir`, its own included, that is later than `epoch` to it.

    `epoch` is in seconds. No link is followed; the tree is this process's alone.
    """
    latest_ns = epoch * _SECOND_NS
    root_fd = os.open(upperdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _clamp_directory(root_fd, latest_ns)
    finally:
        os.close(root_fd)


def _clamp_directory(directory_fd: int, latest_ns: int) -> None:
    """Depth first: a directory's own time comes last, when nothing in it changes any more."""
    with os.scandir(directory_fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if is_directory:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            child_fd = os.open(name, flags, dir_fd=directory_fd)
            try:
                _clamp_directory(child_fd, latest_ns)
            finally:
                os.close(child_fd)
            continue
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if status.st_mtime_ns > latest_ns:
            times = (min(status.st_atime_ns, latest_ns), latest_ns)
            os.utime(name, ns=times, dir_fd=directory_fd, follow_symlinks=False)
    status = os.fstat(directory_fd)
    if status.st_mtime_ns > latest_ns:
        os.utime(directory_fd, ns=(min(status.st_atime_ns, latest_ns), latest_ns))
