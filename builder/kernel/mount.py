"""Mounts: mount(2) and, for mounts that are made before they have a place, the descriptor calls.

The descriptor calls are Linux 5.2's, `set_attributes` is 5.12's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from builder.kernel.libc import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    CFunction,
    SystemCall,
    check,
    encoded,
    failure,
)

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
ATTR_NOEXEC = 0x8
ATTR_STRICTATIME = 0x20

_OPEN_TREE_CLONE = 0x1
_MOVE_FROM_EMPTY = 0x4
_MOVE_TO_EMPTY = 0x40
_CLOEXEC = 0x1
_SET_FLAG = 0
_SET_STRING = 1
_CREATE = 6
_ATTR_IDMAP = 0x00100000

_mount = CFunction(
    "mount",
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
    releases_lock=True,
)
_umount2 = CFunction("umount2", ctypes.c_char_p, ctypes.c_int, releases_lock=True)
_open_tree = SystemCall(428, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_move_mount = SystemCall(
    429, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_fsopen = SystemCall(430, ctypes.c_char_p, ctypes.c_uint)
_fsconfig = SystemCall(
    431, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int
)
_fsmount = SystemCall(432, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
_mount_setattr = SystemCall(
    442, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t
)


def mount(source: str, target: str, fstype: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system, or change a mount, by its path. OSError names the target."""
    arguments = (encoded(source), encoded(target), encoded(fstype), flags, encoded(options))
    check(_mount(*arguments), target)


def unmount(target: str, flags: int = 0) -> None:
    """Take away the mount at `target`."""
    check(_umount2(encoded(target), flags), target)


def clone_tree(directory_fd: int, path: str = "", *, recursive: bool = False) -> int:
    """A copy of the mount at `path` (`directory_fd` itself when empty), attached nowhere yet.

    `path` may be a file, a directory inside a mount, or a whole mount. A last link is followed.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    flags |= 0 if path else AT_EMPTY_PATH
    return check(_open_tree(directory_fd, encoded(path), flags), path or None)


def clone_visible(directory_fd: int, path: str = "", *, recursive: bool = False) -> int:
    """As `clone_tree`, with the mounts inside where the kernel insists on them.

    In a user namespace a directory may not be shown without the mounts that cover parts of it.
    """
    try:
        return clone_tree(directory_fd, path, recursive=recursive)
    except OSError as error:
        if error.errno != errno.EINVAL or recursive:
            raise
        return clone_tree(directory_fd, path, recursive=True)


def attach(tree_fd: int, target_fd: int) -> None:
    """Put a mount that has no place yet on what `target_fd` (O_PATH) names."""
    check(_move_mount(tree_fd, b"", target_fd, b"", _MOVE_FROM_EMPTY | _MOVE_TO_EMPTY))


def new_filesystem(fstype: str, options: tuple[str, ...] = (), attributes: int = 0) -> int:
    """A new mount of `fstype`, attached nowhere: an O_PATH descriptor of its root.

    Options are "name" or "name=value". OSError names the file system and what the kernel wrote
    about the failure.
    """
    context_fd = check(_fsopen(encoded(fstype), _CLOEXEC), fstype)
    try:
        _configure(context_fd, _SET_STRING, b"source", encoded(fstype), fstype)
        for option in options:
            name, separator, value = option.partition("=")
            kind = _SET_STRING if separator else _SET_FLAG
            _configure(
                context_fd, kind, encoded(name), encoded(value) if separator else None, fstype
            )
        _configure(context_fd, _CREATE, None, None, fstype)
        mount_fd = _fsmount(context_fd, _CLOEXEC, attributes)
        if mount_fd == -1:
            raise failure(_described(fstype, context_fd))
        return mount_fd
    finally:
        os.close(context_fd)


def _configure(
    context_fd: int, command: int, name: bytes | None, value: bytes | None, fstype: str
) -> None:
    if _fsconfig(context_fd, command, name, value, 0) == -1:
        raise failure(_described(fstype, context_fd))


def _described(fstype: str, context_fd: int) -> str:
    number = ctypes.get_errno()
    try:
        text = os.read(context_fd, 1024).decode(errors="replace").strip()
    except OSError:  # the kernel has nothing to say
        text = ""
    ctypes.set_errno(number)
    return f"{fstype} ({text})" if text else fstype


def set_attributes(
    mount_fd: int, attributes: int, *, recursive: bool = False, propagation: int = 0
) -> None:
    """Add ATTR_* to a mount, and to all mounts below it.

    `propagation`: MS_PRIVATE, MS_SLAVE, MS_SHARED; 0 leaves it as it is.
    """
    attr = struct.pack("=QQQQ", attributes, 0, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    check(_mount_setattr(mount_fd, b"", flags, attr, len(attr)))


def set_idmap(mount_fd: int, user_namespace_fd: int) -> None:
    """Have the files of a mount that has no place yet show the ids which that namespace maps."""
    attr = struct.pack("=QQQQ", _ATTR_IDMAP, 0, 0, user_namespace_fd)
    check(_mount_setattr(mount_fd, b"", AT_EMPTY_PATH, attr, len(attr)))
