"""Mounts without mount(2): copies at their targets for as long as a process runs.

Only one process tree sees the root filesystem, and only between `place` and `undo`, so that plain
paths do, once links on the way are resolved inside of it. What stood at a target is kept aside, out
of the root filesystem, and comes back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress

from builder.sandbox.api import BindEntry, MountEntry, OverlayEntry, TmpfsEntry
from builder.sandbox.mountpoints import resolved
from cache.record import record
from cache.snapshot.copied import join_by_links, own_files
from cache.snapshot.filecopy import copy_node
from cache.statedir import remove_tree

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


@record
class _Placed:
    """One mount as it stands."""

    parent_fd: int  # of the directory that it is in: whatever its path leads to afterwards
    name: str
    aside: str  # where what was there before is kept
    was_there: bool
    kept: str | None  # the directory that is to get what was written


class Placing:
    """The mounts of one process. `undo` after `place` in any case, failed or not.

    What the process has made of the way to a mount is never followed: `undo` works on the
    directories that were opened before it ran.
    """

    def __init__(self, rootfs_dir: str) -> None:
        self._rootfs_dir = rootfs_dir
        self._aside_dir = f"{rootfs_dir}.aside"  # beside it, where the process can't reach
        self._placed: list[_Placed] = []
        self._times: dict[tuple[int, int], tuple[int, int]] = {}  # of parents: before, then placed

    def place(self, entries: Iterable[MountEntry]) -> None:
        """Put /dev and the copies in place, in order."""
        os.mkdir(self._aside_dir, 0o700)
        self._replace("/dev", _make_devices, None)
        for entry in entries:
            self._place(entry)
        for one in self._placed:
            status = os.fstat(one.parent_fd)
            before_ns, _ = self._times[_inode(status)]
            self._times[_inode(status)] = (before_ns, status.st_mtime_ns)

    def undo(self, *, keep: bool) -> None:
        """Take them away; with `keep`, what was written into writable directories stays there."""
        now = {one.parent_fd: os.fstat(one.parent_fd) for one in self._placed}
        for number, one in enumerate(reversed(self._placed)):
            self._take_away(one, f"{self._aside_dir}/written.{number}", keep=keep)
        remove_tree(self._aside_dir)
        for parent_fd, status in now.items():
            before_ns, placed_ns = self._times[_inode(status)]
            mtime_ns = before_ns if status.st_mtime_ns == placed_ns else status.st_mtime_ns
            os.utime(parent_fd, ns=(status.st_atime_ns, mtime_ns))
            os.close(parent_fd)
        self._placed.clear()

    def _place(self, entry: MountEntry) -> None:
        match entry:
            case BindEntry(source=source, target=target, readonly=readonly):
                real = os.path.realpath(source)
                kept = real if os.path.isdir(real) and not readonly else None
                self._replace(target, lambda path: _copy(real, path), kept)
            case TmpfsEntry(target=target, mode=mode):
                self._replace(target, lambda path: _make_directory(path, mode), None)
            case OverlayEntry(lowerdir=lowerdir, target=target):
                self._replace(target, lambda path: _copy(lowerdir, path), None)

    def _replace(self, target: str, make: Callable[[str], None], kept: str | None) -> None:
        """Have `make` make the target anew."""
        path = self._path(target)
        parent, name = os.path.split(path)
        parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(parent_fd)
        self._times.setdefault(_inode(status), (status.st_mtime_ns, 0))
        aside = os.path.join(self._aside_dir, str(len(self._placed)))
        was_there = os.path.lexists(path)
        if was_there:
            os.rename(path, aside)
        self._placed.append(_Placed(parent_fd, name, aside, was_there, kept))
        make(path)

    def _take_away(self, one: _Placed, written: str, *, keep: bool) -> None:
        with suppress(FileNotFoundError):  # the process has removed it, or its directory
            os.rename(one.name, written, src_dir_fd=one.parent_fd)
        if keep and one.kept is not None and _is_directory(written):
            _exchange(written, one.kept, aside=f"{one.aside}.kept")
        if one.was_there:
            with suppress(FileNotFoundError):
                os.rename(one.aside, one.name, dst_dir_fd=one.parent_fd)

    def _path(self, target: str) -> str:
        root_fd = os.open(self._rootfs_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.path.join(self._rootfs_dir, resolved(root_fd, target))
        finally:
            os.close(root_fd)


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _copy(source: str, target: str) -> None:
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode):
        join_by_links([source], target, userxattr=True)
        own_files(target)
    elif stat.S_ISSOCK(status.st_mode):
        os.link(source, target)  # who listens at it is found by the inode
    else:
        copy_node(source, target, status)


def _exchange(written: str, kept: str, *, aside: str) -> None:
    """Put what was written in the place of what was copied."""
    os.rename(kept, aside)
    os.rename(written, kept)
    remove_tree(aside)


def _make_directory(path: str, mode: int) -> None:
    os.mkdir(path)
    os.chmod(path, mode)


def _make_devices(path: str) -> None:
    """A /dev with what programs need, as far as this process may make devices."""
    _make_directory(path, 0o755)
    for name, number in _DEVICES.items():
        node = os.path.join(path, name)
        try:
            os.mknod(node, stat.S_IFCHR, os.makedev(*number))
        except PermissionError:
            return
        os.chmod(node, 0o666)  # noqa: S103 - the devices are for everyone
    for name, target in _LINKS.items():
        os.symlink(target, os.path.join(path, name))
    _make_directory(os.path.join(path, "shm"), 0o1777)
