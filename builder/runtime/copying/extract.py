"""Entries into a tree, below a directory that is open.

What is no directory is made aside and renamed into its place, so that nothing that is there is
written to: not a device, not a FIFO, not the target of a link. Directories get their mode and times
when all is in them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

from builder.kernel.paths import open_beneath, open_in_root
from builder.layer.xattrs import write_xattr
from builder.runtime.copying.entries import CopyError, Entry
from cache.record import record

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_THERE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_CAPABILITY = b"security.capability"


@record
class Destination:
    """Where entries go, and what becomes of them there."""

    root_fd: int  # nothing leaves it
    base: str  # a directory below it, without links where `follows_links` is not
    name: str = ""  # the entry "" gets it there; "": it is `base` itself
    follows_links: bool = False  # that are there, on the way to an entry: inside the root
    keeps_owners: bool = False  # otherwise all is root's
    keeps_powers: bool = True  # set-id bits, capabilities, devices


def extract(entries: Iterable[Entry], destination: Destination) -> int:
    """Make them; the bytes of files that were written. CopyError for what is in the way."""
    with _Extraction(destination) as extraction:
        for entry in entries:
            extraction.add(entry)
        return extraction.written_bytes


class _Extraction:
    def __init__(self, destination: Destination) -> None:
        self._to = destination
        self._parent: tuple[str, int] = ("", -1)  # the directory of the last entry, open
        self._made: list[Entry] = []  # directories that are still to get what they are to have
        self.written_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for entry in reversed(self._made):
                    self._finish_directory(entry)
        finally:
            self._leave()

    def add(self, entry: Entry) -> None:
        """Put one where it belongs."""
        path = self._path(entry.name)
        if not path:
            if entry.kind != "directory":
                raise CopyError("a directory is not replaced by what is none")
            return  # the directory that was there before: what goes into it does not change it
        parent, _, name = path.rpartition("/")
        try:
            directory = self._enter(parent)
            if entry.kind == "directory":
                self._directory(entry, path, name, directory)
            else:
                self._node(entry, path, name, directory)
        except OSError as error:
            raise _failure(error, path) from error

    def _path(self, name: str) -> str:
        """Below `base`."""
        return "/".join(filter(None, (self._to.name, name)))

    def _enter(self, path: str) -> int:
        if self._parent[1] < 0 or self._parent[0] != path:
            self._leave()
            self._parent = (path, self._open_directory(path))
        return self._parent[1]

    def _leave(self) -> None:
        if self._parent[1] >= 0:
            os.close(self._parent[1])
            self._parent = ("", -1)

    def _open_directory(self, path: str) -> int:
        """A directory below `base`; those that an archive only implies are made."""
        whole = "/".join(filter(None, (self._to.base, path))) or "."
        flags = os.O_RDONLY | os.O_DIRECTORY
        if not self._to.follows_links:
            return open_beneath(self._to.root_fd, whole, flags, links=False)
        try:
            return open_in_root(self._to.root_fd, whole, flags)
        except FileNotFoundError:
            parent, _, name = path.rpartition("/")
            if not path:
                raise
            parent_fd = self._open_directory(parent)
            try:
                os.mkdir(name, 0o755, dir_fd=parent_fd)
            finally:
                os.close(parent_fd)
            return open_in_root(self._to.root_fd, whole, flags)

    def _directory(self, entry: Entry, path: str, name: str, directory: int) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            there = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                raise CopyError(
                    f"a directory cannot take the place of what is none: {path}",
                    hint="remove it there first",
                ) from None
        self._made.append(entry)

    def _finish_directory(self, entry: Entry) -> None:
        path = self._path(entry.name)
        parent, _, name = path.rpartition("/")
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=self._enter(parent))
        except OSError as error:
            raise _failure(error, path) from error
        try:
            self._finish(fd, entry, path)
        finally:
            os.close(fd)

    def _node(self, entry: Entry, path: str, name: str, directory: int) -> None:
        aside = f".{os.urandom(8).hex()}"
        try:
            self._make(entry, path, aside, directory)
            self._put_in_place(aside, name, directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=directory)
            raise

    def _put_in_place(self, aside: str, name: str, directory: int) -> None:
        try:
            os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno != errno.EBUSY:  # something is mounted there: a file, as in /etc
                raise
            _overwrite(aside, name, directory)
            os.unlink(aside, dir_fd=directory)

    def _make(self, entry: Entry, path: str, aside: str, directory: int) -> None:
        match entry.kind:
            case "file":
                self._file(entry, path, aside, directory)
                return
            case "hardlink":
                self._hardlink(entry, aside, directory)
                return
            case "symlink":
                os.symlink(entry.link_name, aside, dir_fd=directory)
            case "fifo":
                os.mkfifo(aside, 0o600, dir_fd=directory)
            case _:
                self._device(entry, path, aside, directory)
        owner = (entry.uid, entry.gid) if self._to.keeps_owners else (0, 0)
        os.chown(aside, *owner, dir_fd=directory, follow_symlinks=False)
        if entry.kind != "symlink":
            os.chmod(aside, self._mode(entry), dir_fd=directory)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(aside, ns=times, dir_fd=directory, follow_symlinks=False)

    def _file(self, entry: Entry, path: str, aside: str, directory: int) -> None:
        file = os.open(aside, _NEW, 0o600, dir_fd=directory)
        try:
            if entry.content is not None:
                entry.content.copy_to(file)
            self.written_bytes += os.fstat(file).st_size
            self._finish(file, entry, path)
        finally:
            os.close(file)

    def _hardlink(self, entry: Entry, aside: str, directory: int) -> None:
        parent, _, name = self._path(entry.link_name).rpartition("/")
        first_dir = self._open_directory(parent)
        try:
            os.link(name, aside, src_dir_fd=first_dir, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(first_dir)

    def _device(self, entry: Entry, path: str, aside: str, directory: int) -> None:
        if not self._to.keeps_powers:
            raise CopyError(
                f"{path} is a device, which is not made on this machine",
                hint="with -a it is, where root asks for it",
            )
        kind = stat.S_IFBLK if entry.kind == "block" else stat.S_IFCHR
        os.mknod(aside, kind | 0o600, os.makedev(*entry.device), dir_fd=directory)

    def _mode(self, entry: Entry) -> int:
        return entry.mode if self._to.keeps_powers else entry.mode & ~_SET_IDS

    def _finish(self, fd: int, entry: Entry, path: str) -> None:
        """In this order: a change of owner clears set-id bits and capabilities."""
        owner = (entry.uid, entry.gid) if self._to.keeps_owners else (0, 0)
        status = os.fstat(fd)
        if owner != (status.st_uid, status.st_gid):
            try:
                os.fchown(fd, *owner)
            except OSError as error:
                raise _failure(error, path) from error
        for name, value in entry.xattrs:
            if self._to.keeps_powers or name != _CAPABILITY:
                write_xattr(fd, name, value)
        os.fchmod(fd, self._mode(entry))
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def _overwrite(aside: str, name: str, directory: int) -> None:
    """A file that cannot be replaced, being mounted: its content alone is."""
    source = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        target = os.open(name, _THERE, dir_fd=directory)
        try:
            if not stat.S_ISREG(os.fstat(target).st_mode):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
            os.ftruncate(target, 0)
            while os.sendfile(target, source, None, 1 << 30):
                pass
        finally:
            os.close(target)
    finally:
        os.close(source)


def _failure(error: OSError, path: str) -> CopyError:
    hints = {
        errno.EROFS: "the file system there is read-only",
        errno.EPERM: "only root can give files away and make devices",
        errno.EINVAL: "the owner is an id that this user may not have",
        errno.ELOOP: "a link is in the way",
    }
    if error.errno == errno.EISDIR:
        return CopyError(
            f"a directory is not replaced by what is none: {path}", hint="remove it there first"
        )
    number = error.errno or 0
    return CopyError(f"{path} cannot be written: {error.strerror}", hint=hints.get(number))
