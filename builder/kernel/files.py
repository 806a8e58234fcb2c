"""File system calls that the standard library lacks."""

from __future__ import annotations

import ctypes

from builder.kernel.libc import CFunction, check, encoded

_NOREPLACE = 1

_renameat2 = CFunction(
    "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_syncfs = CFunction("syncfs", ctypes.c_int, releases_lock=True)


def rename_new(source_dir_fd: int, source: str, target_dir_fd: int, target: str) -> None:
    """Rename; FileExistsError where `target` is there already, which rename(2) would replace."""
    result = _renameat2(source_dir_fd, encoded(source), target_dir_fd, encoded(target), _NOREPLACE)
    check(result, target)


def sync_filesystem(fd: int) -> None:
    """Write to the disk all that was written to the file system that `fd` is on."""
    check(_syncfs(fd))
