"""Images as files on this machine: an OCI layout as a directory; for archives see image_archive.

    oci-layout            {"imageLayoutVersion": "1.0.0"}
    index.json            what the layout holds, by tag
    blobs/sha256/HEX      manifests, configs, layers
    manifest.json         docker archives only: configs, names and layers of the images
    HEX.json, HEX/layer.tar    what an older docker archive's manifest.json points at

Spec: OCI image-spec image-layout.md. Names inside are only ever looked up, never joined to a path
outside.
"""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Protocol, Self

from builder.image.errors import InvalidImageError
from builder.image.jsonobject import DOCUMENT_LIMIT_BYTES
from cache.digest import Digest, hex_of, sha256_digest
from cache.errors import CorruptContentError

INDEX_NAME = "index.json"
LAYOUT_NAME = "oci-layout"
DOCKER_MANIFEST_NAME = "manifest.json"


def blob_name(digest: Digest) -> str:
    """Where a layout keeps the blob."""
    return f"blobs/sha256/{hex_of(digest)}"


class ImageSource(Protocol):
    """Files by name, read-only; safe from several threads. Closed by its `with` block."""

    @property
    def what(self) -> str:
        """For messages: the directory or archive as the user knows it."""
        ...

    def size(self, name: str) -> int | None:
        """The file's size in bytes; None where there is no such file."""
        ...

    def open(self, name: str) -> Opened:
        """The file's bytes; InvalidImageError where there is no such file."""
        ...

    def path(self, name: str) -> str | None:
        """The path of the file if it is one of its own, which may be linked to; else None."""
        ...

    def cancel(self) -> None:
        """End the reads that wait for data, by an exception: nobody wants it any more.

        For any thread; idempotent.
        """
        ...

    def close(self) -> None: ...


class Opened(Protocol):
    """An open file of a source, closed by its `with` block."""

    size_bytes: int

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


class Extent:
    """A part of a file, for reading; has its own position, so that others may share the file."""

    def __init__(self, fd: int, offset: int, size_bytes: int, *, owns_fd: bool) -> None:
        self._fd = fd
        self._position = offset
        self._end = offset + size_bytes
        self._owns_fd = owns_fd
        self.size_bytes = size_bytes

    def read(self, size: int = -1, /) -> bytes:
        remaining = self._end - self._position
        chunk = os.pread(self._fd, remaining if size < 0 else min(size, remaining), self._position)
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        """Idempotent."""
        if self._owns_fd:
            self._owns_fd = False
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def read_document(source: ImageSource, name: str) -> bytes:
    """A whole small file; InvalidImageError where it is missing or too large."""
    with source.open(name) as extent:
        if extent.size_bytes > DOCUMENT_LIMIT_BYTES:
            raise InvalidImageError(
                f"{name} in {source.what} has {extent.size_bytes:,} bytes: "
                f"more than the {DOCUMENT_LIMIT_BYTES:,} allowed"
            )
        return extent.read()


def read_blob(source: ImageSource, digest: Digest, size_bytes: int) -> bytes:
    """A manifest or config of a layout, checked; CorruptContentError where it differs."""
    blob = read_document(source, blob_name(digest))
    if len(blob) != size_bytes or sha256_digest(blob) != digest:
        raise CorruptContentError(f"{source.what} is damaged: the blob {digest} has other bytes")
    return blob


class DirectorySource:
    """An OCI layout as a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @property
    def what(self) -> str:
        return self._directory

    def size(self, name: str) -> int | None:
        try:
            found = os.stat(os.path.join(self._directory, name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def open(self, name: str) -> Extent:
        path = os.path.join(self._directory, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_file(self.what, name) from error
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise InvalidImageError(f"{path} is not a file")
        return Extent(fd, 0, found.st_size, owns_fd=True)

    def path(self, name: str) -> str | None:
        return os.path.join(self._directory, name)

    def cancel(self) -> None:
        """No read waits for long."""

    def close(self) -> None:
        """Nothing is kept open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def missing_file(what: str, name: str) -> InvalidImageError:
    """An error about a file that the source should have."""
    return InvalidImageError(f"{what} has no {name}")
