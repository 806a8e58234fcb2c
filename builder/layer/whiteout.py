"""How a layer says that something is gone: in a tar by names, in an overlay by inodes and xattrs.

    tar (OCI image-spec layer.md)     overlay upperdir (kernel's overlayfs.rst)
    DIR/.wh.NAME                      NAME is a character device 0:0, or since Linux 6.7 an empty
                                      file with overlay.whiteout in a directory with opaque=x
    DIR/.wh..wh..opq                  DIR has overlay.opaque=y

Overlay's xattrs live in trusted.*, and in user.* where the overlay is mounted with userxattr. No
other module knows any of this.
"""

from __future__ import annotations

import errno
import os
import stat

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARKER = b".wh..wh..opq"
RESERVED_PREFIX = b".wh..wh."
"""Names that aufs kept for itself; other than the opaque marker they mean nothing in a layer."""

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


def may_be_xattr_whiteout(status: os.stat_result) -> bool:
    """Whether it is worth asking `has_whiteout_xattr`."""
    return status.st_size == 0 and stat.S_ISREG(status.st_mode)


def has_whiteout_xattr(target: int | str, *, userxattr: bool) -> bool:
    """Whether this empty file, open or by path, is a whiteout in the xattr form."""
    return _xattr(target, overlay_prefix(userxattr=userxattr) + "whiteout") is not None


def holds_xattr_whiteouts(directory: int | str, *, userxattr: bool) -> bool:
    """Whether empty files of this directory may be whiteouts."""
    return _xattr(directory, overlay_prefix(userxattr=userxattr) + "opaque") == b"x"


def is_opaque(directory: int | str, *, userxattr: bool) -> bool:
    """Whether a directory, open or by path, hides what the layers below have in it."""
    return _xattr(directory, overlay_prefix(userxattr=userxattr) + "opaque") == b"y"


def make_whiteout(name: str, *, dir_fd: int) -> None:
    """Hide `name` of the layers below. Works in a user namespace too."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)


def make_opaque(directory: int, *, userxattr: bool) -> None:
    """Hide everything that the layers below have in this open directory."""
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
