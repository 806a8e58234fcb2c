"""Blobs as files: blobs/sha256/HEX, written aside, checked, synced and renamed.

Spec: OCI image-layout, Blobs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from cache.content.adopt import renewed
from cache.content.api import BlobWriter
from cache.content.verify import VerifyingFile
from cache.digest import Digest, HashingWriter, Reader
from cache.errors import CorruptContentError, NotFoundError, StoreError
from cache.statedir import StateDir

_CHUNK = 1 << 20


class LocalContentStore:
    """A ContentStore in the state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return VerifyingFile(self._state.blob(digest), digest)
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def read(self, digest: Digest, *, limit_bytes: int = 64 << 20) -> bytes:
        with self.open(digest) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > limit_bytes:
                raise CorruptContentError(
                    f"the blob {digest} has {size_bytes} bytes, at most {limit_bytes} make sense"
                )
            return file.read()

    def size(self, digest: Digest) -> int | None:
        try:
            return os.stat(self._state.blob(digest)).st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def ingest(self) -> Generator[BlobWriter, None, None]:
        directory = self._state.scratch("blob")
        path = os.path.join(directory, "blob")
        try:
            with open(path, "xb", buffering=0) as file:
                yield _LocalWriter(self._state, file, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
            os.rmdir(directory)

    def ingest_from(self, source: Reader, expected: Digest, size_bytes: int) -> None:
        with self.ingest() as blob:
            left = size_bytes
            while data := source.read(_CHUNK):
                left -= len(data)
                if left < 0:
                    break
                blob.write(data)
            if left:
                raise CorruptContentError(
                    f"the blob {expected} should have {size_bytes} bytes, its source has "
                    + ("more" if left < 0 else str(size_bytes - left))
                )
            blob.commit(expected)

    def delete(self, digest: Digest) -> bool:
        try:
            os.unlink(self._state.blob(digest))
        except FileNotFoundError:
            return False
        return True


class _LocalWriter:
    """A blob's file in tmp/ on its way to its place."""

    def __init__(self, state: StateDir, file: BinaryIO, path: str) -> None:
        self._state = state
        self._file = file
        self._path = path
        self._hashing = HashingWriter()

    def write(self, data: bytes, /) -> None:
        self._hashing.write(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise StoreError(
                "no space is left for a blob in the store",
                hint="free some, or set PYBUILD_ROOT to a directory on another disk",
            ) from error

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        digest = self._hashing.digest
        if expected is not None and digest != expected:
            raise CorruptContentError(f"the blob {expected} came with other bytes: {digest}")
        target = self._state.blob(digest)
        if not renewed(self._state, digest):
            os.fsync(self._file.fileno())
            os.rename(self._path, target)
        return digest, self._hashing.size_bytes


def blob_sizes(state: StateDir) -> dict[str, int]:
    """The size of each blob, by its digest."""
    with os.scandir(state.blobs_dir) as scan:
        return {f"sha256:{entry.name}": entry.stat(follow_symlinks=False).st_size for entry in scan}


def _missing(digest: Digest) -> NotFoundError:
    return NotFoundError(f"the store has no blob {digest}")
