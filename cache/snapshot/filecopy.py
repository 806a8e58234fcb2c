"""One inode that is no directory, copied with all its metadata, or compared with another."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from cache.snapshot.marks import is_overlay_xattr

_CHUNK_BYTES = 1 << 20
_FICLONE = 0x40049409
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_KEPT = {errno.EPERM, errno.EOPNOTSUPP, errno.ENODATA}
_NOT_BY_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def copy_node(source: str, target: str, status: os.stat_result) -> None:
    """Make the new `target` what `source`, of that status, is. A device needs CAP_MKNOD."""
    if stat.S_ISREG(status.st_mode):
        _copy_file(source, target)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # chown takes set-user-id away
    for name, value in _xattrs(source).items():
        try:
            os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NOT_KEPT:
                raise
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def same_content(one: str, other: str, status: os.stat_result) -> bool:
    """Whether two inodes of the same kind, mode and size hold the same data and xattrs."""
    if _xattrs(one) != _xattrs(other):
        return False
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(one) == os.readlink(other)
    if not stat.S_ISREG(status.st_mode):
        return True
    with open(one, "rb") as first, open(other, "rb") as second:
        while (data := first.read(_CHUNK_BYTES)) == second.read(_CHUNK_BYTES):
            if not data:
                return True
    return False


def _xattrs(path: str) -> dict[str, bytes]:
    """Those of the file itself, other than overlayfs's."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_KEPT:
            return {}
        raise
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names
        if not is_overlay_xattr(name)
    }


def _copy_file(source: str, target: str) -> None:
    source_fd = os.open(source, _READ)
    try:
        target_fd = os.open(target, _WRITE, 0o600)
        try:
            copy_data(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def copy_data(source_fd: int, target_fd: int) -> None:
    """All of an open file into an empty one: blocks are shared where the file system can.

    Else the kernel copies what lies between the holes.
    """
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError:
        _copy_extents(source_fd, target_fd)


def _copy_extents(source_fd: int, target_fd: int) -> None:
    size = os.fstat(source_fd).st_size
    os.ftruncate(target_fd, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(source_fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        end = os.lseek(source_fd, start, os.SEEK_HOLE)
        _copy_range(source_fd, target_fd, start, end)


def _copy_range(source_fd: int, target_fd: int, start: int, end: int) -> None:
    while start < end:
        try:
            copied = os.copy_file_range(source_fd, target_fd, end - start, start, start)
        except OSError as error:
            if error.errno not in _NOT_BY_KERNEL:
                raise
            data = os.pread(source_fd, min(end - start, _CHUNK_BYTES), start)
            copied = os.pwrite(target_fd, data, start)
        if not copied:
            return
        start += copied
