"""The interface of a blob store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from cache.digest import Digest, Reader


class BlobWriter(Protocol):
    """A blob on its way in; nobody sees it before `commit`.

    Leaving the `with` block without `commit` drops what was written.
    """

    def write(self, data: bytes, /) -> None: ...

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Make the blob visible under its digest; its digest and size.

        CorruptContentError where `expected` is another digest. Idempotent: a blob that is there
        already stays as it is.
        """
        ...


class ContentStore(Protocol):
    """Blobs by digest. A blob is there whole or not at all, and never changes."""

    def open(self, digest: Digest) -> BinaryIO:
        """The blob for reading, which checks the bytes against `digest` as they are read.

        The last `read` raises CorruptContentError where they differ. The caller closes it.
        NotFoundError where there is none.
        """
        ...

    def read(self, digest: Digest, *, limit_bytes: int = 64 << 20) -> bytes:
        """The whole blob, checked; for manifests and configs."""
        ...

    def size(self, digest: Digest) -> int | None:
        """Its size in bytes; None where there is no such blob."""
        ...

    def ingest(self) -> AbstractContextManager[BlobWriter]:
        """Write a new blob."""
        ...

    def ingest_from(self, source: Reader, expected: Digest, size_bytes: int) -> None:
        """Take in all of `source`, which must have this digest and size."""
        ...

    def delete(self, digest: Digest) -> bool:
        """Whether there was such a blob."""
        ...
