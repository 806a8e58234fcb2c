"""A tree copied with all its metadata: a container's layer for a commit, image files for a volume.

The source's content is hostile, and changes while it is copied where the container isn't paused:
everything is opened below a directory that is open already, and no link is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from builder.kernel.xattrs import read_all
from cache.snapshot.filecopy import copy_data
from cache.snapshot.marks import is_overlay_xattr, is_whiteout, make_opaque, opacity

_CHUNK_BYTES = 1 << 18
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# NONBLOCK: should a FIFO have taken the file's place, opening it must not wait
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TARGET = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source_fd: int, target_fd: int, *, userxattr: bool) -> None:
    """Copy what is in the open directory `source_fd` into the empty `target_fd`, and its metadata.

    Owner, mode, times, xattrs, hard links, holes, whiteouts and opaque marks stay; sockets, which
    mean nothing without their process, are left out. `userxattr` as the overlay was mounted.
    """
    os.fchmod(target_fd, 0o700)  # no set-group-id bit, which would give the new files its group
    _TreeCopy(target_fd, userxattr=userxattr).directory(source_fd, target_fd, "")


class _TreeCopy:
    def __init__(self, root_fd: int, *, userxattr: bool) -> None:
        self._root_fd = root_fd
        self._userxattr = userxattr
        self._links: dict[tuple[int, int], str] = {}  # inode → its first name, from the root
        # of a new file: no directory has its set-group-id bit before its files are there
        self._own_ids = (os.geteuid(), os.getegid())

    def directory(self, source_fd: int, target_fd: int, place: str) -> None:
        with os.scandir(source_fd) as entries:
            for entry in entries:
                self._entry(entry, source_fd, target_fd, f"{place}{entry.name}")
        if opacity(source_fd, userxattr=self._userxattr) == "opaque":
            make_opaque(target_fd, userxattr=self._userxattr)
        made = os.fstat(target_fd)
        _copy_metadata(
            source_fd, target_fd, os.fstat(source_fd), made_with=(made.st_uid, made.st_gid)
        )

    def _entry(self, entry: os.DirEntry[str], source_fd: int, target_fd: int, place: str) -> None:
        if entry.is_file(follow_symlinks=False):
            self._file(entry.name, source_fd, target_fd, place)
            return
        status = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._subdirectory(entry.name, source_fd, target_fd, place)
        elif kind != stat.S_IFSOCK and not self._is_linked(status, entry.name, target_fd, place):
            if kind == stat.S_IFLNK:
                os.symlink(os.readlink(entry.name, dir_fd=source_fd), entry.name, dir_fd=target_fd)
                _copy_link_metadata(entry.name, source_fd, target_fd, status)
            else:
                os.mknod(entry.name, status.st_mode, status.st_rdev, dir_fd=target_fd)
                _copy_node_metadata(entry.name, target_fd, status)

    def _file(self, name: str, source_dir_fd: int, target_dir_fd: int, place: str) -> None:
        source_fd = os.open(name, _SOURCE, dir_fd=source_dir_fd)
        try:
            status = os.fstat(source_fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EBUSY, "the file changes while it is copied", name)
            if self._is_linked(status, name, target_dir_fd, place):
                return
            target_fd = os.open(name, _TARGET, 0o600, dir_fd=target_dir_fd)
            try:
                _copy_content(source_fd, target_fd, status)
                _copy_metadata(source_fd, target_fd, status, self._own_ids)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)

    def _subdirectory(self, name: str, source_fd: int, target_fd: int, place: str) -> None:
        os.mkdir(name, 0o700, dir_fd=target_fd)
        inner_source = os.open(name, _DIRECTORY, dir_fd=source_fd)
        try:
            inner_target = os.open(name, _DIRECTORY, dir_fd=target_fd)
            try:
                self.directory(inner_source, inner_target, f"{place}/")
            finally:
                os.close(inner_target)
        finally:
            os.close(inner_source)

    def _is_linked(self, status: os.stat_result, name: str, target_fd: int, place: str) -> bool:
        """Whether it is another name of what is copied already, and was linked.

        Whiteouts often are one inode with many names, which says nothing about the files.
        """
        if status.st_nlink == 1 or is_whiteout(status):
            return False
        inode = (status.st_dev, status.st_ino)
        first = self._links.setdefault(inode, place)
        if first == place:
            return False
        os.link(first, name, src_dir_fd=self._root_fd, dst_dir_fd=target_fd, follow_symlinks=False)
        return True


def _copy_content(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    if status.st_size <= _CHUNK_BYTES:
        content = os.read(source_fd, status.st_size)
        if content:
            os.write(target_fd, content)
    else:
        copy_data(source_fd, target_fd)


def copy_directory_facts(source_fd: int, target_fd: int) -> None:
    """Owner, mode, times and xattrs of one open directory to another."""
    made = os.fstat(target_fd)
    _copy_metadata(source_fd, target_fd, os.fstat(source_fd), (made.st_uid, made.st_gid))


def _copy_metadata(
    source_fd: int, target_fd: int, status: os.stat_result, made_with: tuple[int, int]
) -> None:
    """In this order: a change of owner clears the set-id bits and the file's capabilities.

    `made_with` is the owner that the target has now.
    """
    if made_with != (status.st_uid, status.st_gid):
        os.fchown(target_fd, status.st_uid, status.st_gid)
    _copy_xattrs(source_fd, target_fd)
    os.fchmod(target_fd, stat.S_IMODE(status.st_mode))
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_xattrs(source_fd: int, target_fd: int) -> None:
    for name in os.listxattr(source_fd):
        if not is_overlay_xattr(name):
            os.setxattr(target_fd, name, os.getxattr(source_fd, name))


def _copy_link_metadata(name: str, source_fd: int, target_fd: int, status: os.stat_result) -> None:
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target_fd, follow_symlinks=False)
    link_fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
    try:
        attributes = read_all(link_fd)
    finally:
        os.close(link_fd)
    for attribute, value in attributes.items():
        if not is_overlay_xattr(attribute):
            path = f"/proc/self/fd/{target_fd}/{name}"
            os.setxattr(path, attribute, value, follow_symlinks=False)
    os.utime(
        name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target_fd, follow_symlinks=False
    )


def _copy_node_metadata(name: str, target_fd: int, status: os.stat_result) -> None:
    if is_whiteout(status):
        return
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target_fd)
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target_fd)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target_fd)
