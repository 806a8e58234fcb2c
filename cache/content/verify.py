"""Bytes checked against their digest while they are read."""

from __future__ import annotations

import hashlib
import io

from cache.digest import Digest
from cache.errors import CorruptContentError


class VerifyingFile(io.FileIO):
    """A blob's file, for one pass from its start to its end.

    The `read` that would return b"" raises CorruptContentError where the bytes were not what
    `digest` says, so whoever reads to the end has read the right ones. There is no seeking.
    """

    def __init__(self, path: str, digest: Digest) -> None:
        super().__init__(path, "rb")
        self._digest = digest
        self._hash = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = super().read(size)
        self._hash.update(data)
        if size and not data:
            self._check()
        return data

    def readall(self) -> bytes:
        data = super().readall()
        self._hash.update(data)
        self._check()
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        count = super().readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        if len(buffer) and not count:
            self._check()
        return count

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("a blob is read from its start to its end")

    def _check(self) -> None:
        actual = "sha256:" + self._hash.hexdigest()
        if actual != self._digest:
            raise CorruptContentError(
                f"the blob {self._digest} is damaged: its bytes have the digest {actual}",
                hint="get it again: pull, load or build the image anew",
            )
