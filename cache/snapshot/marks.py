"""How overlayfs marks in an upperdir what is gone. Spec: the kernel's overlayfs.rst.

A whiteout hides one name of the layers below: a character device 0:0 or, since Linux 6.7, an empty
file with the xattr overlay.whiteout in a directory that has overlay.opaque=x. An opaque directory
hides all of them: overlay.opaque=y; not so an upperdir's root, all layers' roots are joined. The
xattrs live in trusted.*, or in user.* where the overlay is mounted with userxattr, as it is in a
user namespace.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Literal

_OVERLAY_PREFIXES = ("trusted.overlay.", "user.overlay.")
_ABSENT = {errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}


def overlay_prefix(*, userxattr: bool) -> str:
    """Where the overlay that is mounted like this keeps its own xattrs."""
    return "user.overlay." if userxattr else "trusted.overlay."


def is_overlay_xattr(name: str) -> bool:
    """Whether an xattr is overlayfs's own, in either dialect: those stay out of layers."""
    return name.startswith(_OVERLAY_PREFIXES)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is an overlay's whiteout in the common form."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def opacity(directory: int | str, *, userxattr: bool) -> Literal["opaque", "marked", ""]:
    """Whether a directory, open or by path, hides what lies below it.

    "marked": it doesn't, but empty files in it may be whiteouts: ask `is_marked_whiteout`.
    """
    match _xattr(directory, overlay_prefix(userxattr=userxattr) + "opaque"):
        case b"y":
            return "opaque"
        case b"x":
            return "marked"
        case _:
            return ""


def is_marked_whiteout(target: int | str, *, userxattr: bool) -> bool:
    """Whether an empty file of a "marked" directory, open or by path, is a whiteout."""
    return _xattr(target, overlay_prefix(userxattr=userxattr) + "whiteout") is not None


def make_whiteout(name: str, *, dir_fd: int | None = None) -> None:
    """Hide `name` of the layers below. Works in a user namespace too."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)


def make_opaque(directory: int | str, *, userxattr: bool) -> None:
    """Hide everything that the layers below have in this directory, open or by path."""
    os.setxattr(directory, overlay_prefix(userxattr=userxattr) + "opaque", b"y")


def _xattr(target: int | str, name: str) -> bytes | None:
    try:
        if isinstance(target, int):
            return os.getxattr(target, name)
        return os.getxattr(target, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
