"""A tar archive of blobs and documents: the outer one, that layers lie in."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from builder.layer.tarheader import (
    DIRECTORY,
    END_OF_ARCHIVE,
    FILE,
    Metadata,
    header,
    padded,
    padding,
)
from cache.digest import Writer

_FILE_METADATA = Metadata(mode=0o644, uid=0, gid=0, mtime=0)
_DIRECTORY_METADATA = Metadata(mode=0o755, uid=0, gid=0, mtime=0)


class ArchiveWriter:
    """Writes members in the order they are added; equal members give equal bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the archive has this member."""
        return name in self._names

    def add_directory(self, name: str) -> None:
        self._names.add(name)
        self._file.write(header(DIRECTORY, f"{name}/".encode(), _DIRECTORY_METADATA))

    def add_file(self, name: str, content: bytes) -> None:
        self._begin(name, len(content))
        self._file.write(padded(content))

    def add_stream(self, name: str, size_bytes: int, write: Callable[[Writer], None]) -> None:
        """A member that `write` writes, which must be of this size."""
        self._begin(name, size_bytes)
        counting = _Counting(self._file)
        write(counting)
        assert counting.size_bytes == size_bytes, "a blob of another size than it said"
        self._file.write(padding(size_bytes))

    def finish(self) -> None:
        self._file.write(END_OF_ARCHIVE)

    def _begin(self, name: str, size_bytes: int) -> None:
        self._names.add(name)
        self._file.write(header(FILE, name.encode(), _FILE_METADATA, size_bytes=size_bytes))


class _Counting:
    def __init__(self, target: Writer) -> None:
        self._target = target
        self.size_bytes = 0

    def write(self, data: bytes, /) -> None:
        self._target.write(data)
        self.size_bytes += len(data)
