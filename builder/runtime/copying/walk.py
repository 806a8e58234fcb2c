"""A tree as entries: depth first, names in order, parents first."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator

from builder.kernel.xattrs import read_all as read_all_xattrs
from builder.layer.xattrs import is_kept, portable_value
from builder.runtime.copying.entries import CopyError, Entry, Kind
from cache.digest import read_all
from cache.record import replace

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# NONBLOCK: should a FIFO have taken the file's place, opening it must not wait
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK_BYTES = 1 << 18
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


class FileContent:
    """A Content of an open file."""

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self._status = status

    def read(self, size: int = -1, /) -> bytes:
        return os.read(self._fd, size) if size >= 0 else read_all(self)

    def copy_to(self, file: int) -> None:
        size_bytes = self._status.st_size
        if self._status.st_blocks * 512 < size_bytes:
            self._copy_between_holes(file, size_bytes)
        while data := os.read(self._fd, _CHUNK_BYTES):  # what came since, or all of it
            _write(file, data)

    def _copy_between_holes(self, file: int, size_bytes: int) -> None:
        os.ftruncate(file, size_bytes)
        end = 0
        while end < size_bytes:
            try:
                start = os.lseek(self._fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    break
                raise
            end = min(os.lseek(self._fd, start, os.SEEK_HOLE), size_bytes)
            os.lseek(self._fd, start, os.SEEK_SET)
            os.lseek(file, start, os.SEEK_SET)
            while start < end and (data := os.read(self._fd, min(_CHUNK_BYTES, end - start))):
                _write(file, data)
                start += len(data)
        os.lseek(self._fd, 0, os.SEEK_END)
        os.lseek(file, 0, os.SEEK_END)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


class _Level:
    """A directory that the walk is in."""

    __slots__ = ("fd", "names", "prefix")

    def __init__(self, fd: int, prefix: str) -> None:
        self.fd = fd
        self.prefix = prefix
        self.names = sorted(os.listdir(fd), reverse=True)


def walk(top_fd: int, *, crosses_mounts: bool = True) -> Generator[Entry, None, None]:
    """What the O_PATH descriptor `top_fd` names, as the entry "", and all that is in it.

    Without `crosses_mounts` what is mounted inside is an empty directory or file. Sockets, which
    mean nothing without their process, are left out. CopyError for what is nested too deeply.
    """
    status = os.fstat(top_fd)
    first_names: dict[tuple[int, int], str] = {}
    levels: list[_Level] = []
    try:
        yield from _one("", top_fd, status, first_names)
        if stat.S_ISDIR(status.st_mode):
            levels.append(_Level(os.open(".", _DIRECTORY, dir_fd=top_fd), ""))
        while levels:
            level = levels[-1]
            if not level.names:
                os.close(levels.pop().fd)
                continue
            name = level.names.pop()
            yield from _visited(name, level, levels, first_names, crosses_mounts=crosses_mounts)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENAMETOOLONG}:
            raise CopyError("the tree is nested too deeply to be copied") from error
        raise
    finally:
        for level in levels:
            os.close(level.fd)


def _visited(
    name: str,
    level: _Level,
    levels: list[_Level],
    first_names: dict[tuple[int, int], str],
    *,
    crosses_mounts: bool,
) -> Generator[Entry, None, None]:
    try:
        fd = os.open(name, _NODE, dir_fd=level.fd)
    except FileNotFoundError:  # removed meanwhile
        return
    try:
        status = os.fstat(fd)
        path = f"{level.prefix}{name}"
        if not crosses_mounts and status.st_dev != os.fstat(level.fd).st_dev:
            yield replace(_entry(path, fd, status), size_bytes=0, content=_NOTHING)
            return
        yield from _one(path, fd, status, first_names)
        if stat.S_ISDIR(status.st_mode):
            levels.append(_Level(os.open(".", _DIRECTORY, dir_fd=fd), f"{path}/"))
    finally:
        os.close(fd)


def _one(
    path: str, fd: int, status: os.stat_result, first_names: dict[tuple[int, int], str]
) -> Generator[Entry, None, None]:
    """The entry of one file, with its content as long as the caller looks at it."""
    if stat.S_IFMT(status.st_mode) not in _KINDS:
        return
    entry = _entry(path, fd, status)
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        first = first_names.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            yield replace(entry, kind="hardlink", link_name=first, size_bytes=0)
            return
    if entry.kind != "file":
        yield entry
        return
    file = os.open(f"/proc/self/fd/{fd}", _FILE)  # the very file that was looked at
    try:
        yield replace(entry, content=FileContent(file, status))
    finally:
        os.close(file)


def _entry(path: str, fd: int, status: os.stat_result) -> Entry:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    return Entry(
        name=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size_bytes=status.st_size if kind == "file" else 0,
        link_name=os.readlink("", dir_fd=fd) if kind == "symlink" else "",
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
        xattrs=_xattrs(fd),
    )


def _xattrs(fd: int) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (os.fsencode(name), portable_value(name, value))
        for name, value in read_all_xattrs(fd).items()
        if is_kept(name)
    )


class _Nothing:
    """A Content without any."""

    def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002 - as Content has it
        return b""

    def copy_to(self, file: int) -> None:
        """Leave it empty."""


_NOTHING = _Nothing()
