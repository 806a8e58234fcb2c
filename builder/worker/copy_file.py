"""One file's data from here to there, each byte read once: written, and given to the layer's tar.

Files up to a mebibyte go in one piece. Larger ones are cloned where the file system can, else
written as they are read; holes are not written.
"""

from __future__ import annotations

import errno
import fcntl
import os

from builder.errors import StepFailedError
from builder.layer.xattrs import read_xattrs, write_xattr

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not make us wait
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WHOLE_BYTES = 1 << 20
_CHUNK = 1 << 20
_FICLONE = 0x40049409
_ZEROS = bytes(_CHUNK)


def read_whole(source: int, size_bytes: int, path: str) -> bytes:
    """All of a small file."""
    data = os.read(source, size_bytes + 1)
    if len(data) != size_bytes:
        raise changed(path)
    return data


def write_all(target: int, data: bytes) -> None:
    """Write all of `data`, however little the kernel takes at once."""
    written = os.write(target, data)
    while written < len(data):
        written += os.write(target, memoryview(data)[written:])


def copy_file(source_path: str, target_path: str, status: os.stat_result) -> None:
    """A file of our own as it is: data, owner, mode and xattrs; times are the caller's."""
    source = os.open(source_path, READ)
    try:
        target = os.open(target_path, CREATE, 0o600)
        try:
            CopyingReader(source, target, status, source_path).drain()
            os.fchown(target, status.st_uid, status.st_gid)
            os.fchmod(target, status.st_mode & 0o7777)
            for name, value in read_xattrs(source, os.listxattr(source)):
                write_xattr(target, name, value)
        finally:
            os.close(target)
    finally:
        os.close(source)


def changed(path: str) -> StepFailedError:
    """A file is not what it was when the copy began."""
    return InputChangedError(
        f'"{path}" changed while it was being copied',
        hint="build again; leave files that change all the time out with .dockerignore",
    )


def check_unchanged(source: int, before: os.stat_result, path: str) -> None:
    """InputChangedError where the open file is not as it was when its directory was read."""
    after = os.fstat(source)
    if (
        after.st_ctime_ns != before.st_ctime_ns  # goes with every change, also of the other times
        or after.st_size != before.st_size
        or after.st_ino != before.st_ino
    ):
        raise changed(path)


class InputChangedError(StepFailedError):
    """A context changed between the look at it and the copy: the result would fit no key."""

    code = "input-changed"


class CopyingReader:
    """Reads a large file, and writes what it reads to `target`, if there is one.

    Gives as many bytes as `status` says; InputChangedError where they aren't there.
    """

    def __init__(self, source: int, target: int | None, status: os.stat_result, path: str) -> None:
        self._source = source
        # nothing to write into: there is none, or it shares the data already
        self._target = None if target is None or _clone(source, target) else target
        self._path = path
        self._size = status.st_size
        self._position = 0
        self._is_sparse = status.st_blocks * 512 < status.st_size
        self._data_end = 0  # of the extent that the position is in
        self._next_data = 0  # where the extent after a hole begins
        if self._is_sparse and self._target is not None:
            os.ftruncate(self._target, self._size)

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most a mebibyte; b"" at the end."""
        left = self._size - self._position
        wanted = min(left, _CHUNK if size < 0 else size, _CHUNK)
        if not wanted:
            self._check_end()
            return b""
        data = self._sparse(wanted) if self._is_sparse else self._dense(wanted)
        self._position += len(data)
        return data

    def drain(self) -> None:
        """Copy what is left."""
        while self.read():
            pass

    def _dense(self, wanted: int) -> bytes:
        data = os.read(self._source, wanted)
        if not data:
            raise changed(self._path)
        if self._target is not None:
            write_all(self._target, data)
        return data

    def _sparse(self, wanted: int) -> bytes:
        position = self._position
        if position >= self._data_end and position >= self._next_data:
            self._find_extent(position)
        if position < self._next_data:
            return _ZEROS[: min(wanted, self._next_data - position)]
        data = os.pread(self._source, min(wanted, self._data_end - position), position)
        if not data:
            raise changed(self._path)
        if self._target is not None:
            written = 0
            while written < len(data):
                part = memoryview(data)[written:]
                written += os.pwrite(self._target, part, position + written)
        return data

    def _find_extent(self, position: int) -> None:
        try:
            self._next_data = os.lseek(self._source, position, os.SEEK_DATA)
            self._data_end = os.lseek(self._source, self._next_data, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            self._next_data = self._data_end = self._size  # a hole to the end
        self._next_data = min(self._next_data, self._size)
        self._data_end = min(self._data_end, self._size)

    def _check_end(self) -> None:
        if os.fstat(self._source).st_size != self._size:
            raise changed(self._path)


def _clone(source: int, target: int) -> bool:
    """Share the data's blocks, where one file system holds both and can do that."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
