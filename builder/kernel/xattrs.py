"""Extended attributes of what an O_PATH descriptor or a link names.

The *xattr calls of `os` take a descriptor or a path; an O_PATH descriptor is neither (EBADF), so
these go through its entry in /proc.
"""

from __future__ import annotations

import errno
import os


def read_all(fd: int) -> dict[str, bytes]:
    """Every attribute of what `fd` (any kind, O_PATH of a link too) names, sorted by name."""
    entry = f"/proc/self/fd/{fd}"
    try:
        names = os.listxattr(entry)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENOENT}:
            return {}
        raise
    return {name: os.getxattr(entry, name) for name in sorted(names)}


def read_one(fd: int, name: str) -> bytes | None:
    """One attribute; None where it is not set or the file system keeps none."""
    try:
        return os.getxattr(f"/proc/self/fd/{fd}", name)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return None
        raise
