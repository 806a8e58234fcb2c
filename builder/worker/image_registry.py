"""An image of a registry as an `ImageSource`: documents at once, layers as they come."""

from __future__ import annotations

import io
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from builder.events import Emit
from builder.image.errors import InvalidImageError
from builder.image.jsonobject import DOCUMENT_LIMIT_BYTES
from builder.registry.repository import Repository
from builder.worker.blob_downloads import BlobDownloads, Download
from builder.worker.image_source import Opened, blob_name, missing_file
from cache.descriptor import Descriptor
from cache.digest import sha256_digest
from cache.errors import CorruptContentError
from cache.statedir import StateDir


class RegistrySource:
    """What of a repository was asked for. A `with` block, which ends the downloads."""

    def __init__(self, state: StateDir, repository: Repository, emit: Emit) -> None:
        self._repository = repository
        self._downloads = BlobDownloads(state, repository, emit)
        self._layers: dict[str, Download] = {}
        self._documents: dict[str, bytes] = {}

    @property
    def what(self) -> str:
        return self._repository.name

    def add_document(self, blob: bytes) -> None:
        """Have a manifest that was fetched."""
        self._documents[blob_name(sha256_digest(blob))] = blob

    def fetch_document(self, descriptor: Descriptor) -> bytes:
        """A small blob, checked."""
        if descriptor.size_bytes > DOCUMENT_LIMIT_BYTES:
            raise InvalidImageError(
                f"{self.what} has a config of {descriptor.size_bytes:,} bytes: "
                f"more than the {DOCUMENT_LIMIT_BYTES:,} allowed"
            )
        blob = b"".join(self._repository.blob_from(descriptor))
        if sha256_digest(blob) != descriptor.digest:
            raise CorruptContentError(
                f"{self.what}: the blob {descriptor.digest} came with other bytes"
            )
        self.add_document(blob)
        return blob

    def start(self, layers: Iterable[Descriptor]) -> None:
        """Begin to fetch layers, in this order."""
        for download in self._downloads.start(layers).values():
            self._layers[blob_name(download.blob.digest)] = download

    def size(self, name: str) -> int | None:
        if name in self._documents:
            return len(self._documents[name])
        return self._layers[name].blob.size_bytes if name in self._layers else None

    def open(self, name: str) -> Opened:
        if name in self._documents:
            return _Document(self._documents[name])
        if name not in self._layers:
            raise missing_file(self.what, name)
        return self._layers[name].open()

    def path(self, name: str) -> str | None:
        return self._layers[name].path if name in self._layers else None

    def cancel(self) -> None:
        self._downloads.cancel()

    def close(self) -> None:
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self._downloads.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._downloads.__exit__(kind, error, at)


class _Document:
    """A document in memory, as an open file."""

    def __init__(self, blob: bytes) -> None:
        self._file = io.BytesIO(blob)
        self.size_bytes = len(blob)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
