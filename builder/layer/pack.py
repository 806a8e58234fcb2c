"""A tree as a layer's tar: walk an overlay upperdir and stream what it says.

The order is depth first, a directory's names in byte order, a directory before what is in it. The
same tree gives the same bytes wherever it lies. No member for the root itself, as BuildKit and
Docker have it. Sockets are left out: they mean nothing without their process.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from builder.layer.tarheader import Metadata
from builder.layer.tarstream import TarStream
from builder.layer.xattrs import read_xattrs
from cache.descriptor import Layer
from cache.digest import Writer
from cache.snapshot import marks

_WHOLE_BYTES = 1 << 20  # files up to here are read at once
_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SECOND_NS = 1_000_000_000


def pack(upperdir: str, target: Writer | None = None, *, userxattr: bool) -> Layer:
    """The layer that `upperdir` is, as a plain tar: its digest and size, and its bytes to `target`.

    `userxattr` as the overlay was mounted. Memory stays flat whatever the size. PackError where
    the tree holds what no layer can, or changes meanwhile.
    """
    with TarStream(target) as stream, _Walk(stream, userxattr=userxattr) as walk:
        walk.run(upperdir)
        return stream.finish()


class _Level:
    """A directory that the walk is in."""

    __slots__ = ("directory", "entries", "has_marked_whiteouts", "prefix")

    def __init__(self, directory: int, name: bytes) -> None:
        self.directory = directory  # open
        self.prefix = name + b"/" if name else b""  # of its members' names
        self.entries: Iterator[tuple[bytes, os.DirEntry[str]]] = iter(())
        self.has_marked_whiteouts = False


class _Walk:
    def __init__(self, stream: TarStream, *, userxattr: bool) -> None:
        self._stream = stream
        self._userxattr = userxattr
        self._first_names: dict[tuple[int, int], bytes] = {}  # of files with several names
        self._levels: list[_Level] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            for level in self._levels:
                stack.callback(os.close, level.directory)

    def run(self, upperdir: str) -> None:
        self._enter(os.open(upperdir, _DIR_FLAGS), b"")
        while self._levels:
            level = self._levels[-1]
            for base, entry in level.entries:
                if entry.is_dir(follow_symlinks=False):
                    self._add_directory(level, base)
                    break
                self._add_other(level, base, entry)
            else:
                self._levels.pop()
                os.close(level.directory)

    def _enter(self, directory: int, name: bytes) -> None:
        level = _Level(directory, name)
        self._levels.append(level)  # first of all: it closes the descriptor
        opacity = marks.opacity(directory, userxattr=self._userxattr)
        if opacity == "opaque" and name:  # overlayfs has no opaque root
            self._stream.add_opaque(name)
        level.has_marked_whiteouts = opacity == "marked"
        with os.scandir(directory) as entries:
            level.entries = iter(sorted((os.fsencode(entry.name), entry) for entry in entries))

    def _add_directory(self, level: _Level, base: bytes) -> None:
        directory = os.open(base, _DIR_FLAGS, dir_fd=level.directory)
        try:
            xattrs = read_xattrs(directory, os.listxattr(directory))
            name = level.prefix + base
            self._stream.add_directory(name, _metadata(os.fstat(directory), xattrs))
        except BaseException:
            os.close(directory)
            raise
        self._enter(directory, name)

    def _add_other(self, level: _Level, base: bytes, entry: os.DirEntry[str]) -> None:
        if entry.is_file(follow_symlinks=False):
            self._add_file(level, base)
            return
        status = entry.stat(follow_symlinks=False)
        name = level.prefix + base
        if marks.is_whiteout(status):
            self._stream.add_whiteout(name)
        elif not stat.S_ISSOCK(status.st_mode) and not self._is_linked(name, status):
            self._add_node(level, base, status)

    def _is_linked(self, name: bytes, status: os.stat_result) -> bool:
        """Whether this is another name of an earlier member, and now in the layer as such."""
        if status.st_nlink == 1:
            return False
        inode = (status.st_dev, status.st_ino)
        first_name = self._first_names.setdefault(inode, name)
        if first_name is name:
            return False
        self._stream.add_hardlink(name, _metadata(status, ()), first_name)
        return True

    def _add_node(self, level: _Level, base: bytes, status: os.stat_result) -> None:
        name = level.prefix + base
        metadata = self._by_path(level, base, status)
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFLNK:
                target = os.readlink(base, dir_fd=level.directory)
                self._stream.add_symlink(name, metadata, target)
            case stat.S_IFIFO:
                self._stream.add_fifo(name, metadata)
            case kind:
                self._stream.add_device(
                    name,
                    metadata,
                    is_block=kind == stat.S_IFBLK,
                    device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
                )

    def _by_path(self, level: _Level, base: bytes, status: os.stat_result) -> Metadata:
        """Metadata of what can't be opened: its xattrs are read by way of its directory."""
        path = f"/proc/self/fd/{level.directory}/{os.fsdecode(base)}"
        names = os.listxattr(path, follow_symlinks=False)
        return _metadata(status, read_xattrs(path, names))

    def _add_file(self, level: _Level, base: bytes) -> None:
        name = level.prefix + base
        file = os.open(base, _FILE_FLAGS, dir_fd=level.directory)
        try:
            status = os.fstat(file)
            names = os.listxattr(file)
            if names and self._is_marked_whiteout(level, file, status):
                self._stream.add_whiteout(name)
            elif not self._is_linked(name, status):
                metadata = _metadata(status, read_xattrs(file, names) if names else ())
                size = status.st_size
                data = os.read(file, size) if size <= _WHOLE_BYTES else _FileReader(file)
                self._stream.add_file(name, metadata, size, data)
        finally:
            os.close(file)

    def _is_marked_whiteout(self, level: _Level, file: int, status: os.stat_result) -> bool:
        return (
            level.has_marked_whiteouts
            and not status.st_size
            and marks.is_marked_whiteout(file, userxattr=self._userxattr)
        )


class _FileReader:
    def __init__(self, file: int) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        return os.read(self._file, size)


def _metadata(status: os.stat_result, xattrs: tuple[tuple[bytes, bytes], ...]) -> Metadata:
    return Metadata(
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns // _SECOND_NS,
        xattrs,
    )
