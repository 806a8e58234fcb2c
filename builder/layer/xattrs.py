"""Which xattrs a layer keeps, and in which form.

Kept: user.*, POSIX ACLs, file capabilities and trusted.*. Not kept: overlayfs's own, and what
belongs to one host's policy (security.selinux, security.ima, ...).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from cache.snapshot.marks import is_overlay_xattr

_CAPABILITY = "security.capability"
_KEPT = {_CAPABILITY, "system.posix_acl_access", "system.posix_acl_default"}
_KEPT_PREFIXES = ("user.", "trusted.")
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}


def is_kept(name: str) -> bool:
    """Whether an xattr of this name goes from a file into a layer and back."""
    return (name in _KEPT or name.startswith(_KEPT_PREFIXES)) and not is_overlay_xattr(name)


def read_xattrs(target: int | str, names: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Those of `names` that a layer keeps, with their values, sorted by name."""
    found: list[tuple[bytes, bytes]] = []
    for name in names:
        if is_kept(name):
            with suppress(FileNotFoundError):
                value = _get(target, name)
                found.append((os.fsencode(name), portable_value(name, value)))
    return tuple(sorted(found))


def write_xattr(target: int | str, name: bytes, value: bytes) -> bool:
    """Set an xattr of a layer's member; False where this file system or user can't have it."""
    text = os.fsdecode(name)
    try:
        if isinstance(target, int):
            os.setxattr(target, text, value)
        else:
            os.setxattr(target, text, value, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _get(target: int | str, name: str) -> bytes:
    if isinstance(target, int):
        return os.getxattr(target, name)
    return os.getxattr(target, name, follow_symlinks=False)


def portable_value(name: str, value: bytes) -> bytes:
    """A capability of version 3 names the user namespace that set it: version 2 means any root.

    struct vfs_ns_cap_data is vfs_cap_data with the id of that namespace's root behind it; the
    version is the top byte of the first word, which is little-endian.
    """
    if name == _CAPABILITY and len(value) == 24 and value[3] == 3:
        return value[:3] + b"\x02" + value[4:20]
    return value
