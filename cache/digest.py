"""Digests: names of content. Spec: OCI image-spec descriptor.md, Digests; only sha256 is used."""

from __future__ import annotations

import hashlib
import re
from typing import NewType, Protocol

from cache.errors import InvalidDigestError

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits, checked by `parse_digest` where it comes from outside."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def parse_digest(text: str) -> Digest:
    """`text` as a digest, safe to use as a file name; InvalidDigestError for anything else."""
    if not _DIGEST.match(text):
        raise InvalidDigestError(
            f'"{text[:100]}" is not a sha256 digest',
            hint="a digest is sha256: and 64 hex digits in lower case",
        )
    return Digest(text)


def sha256_digest(content: bytes) -> Digest:
    """The digest of `content`."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def hex_of(digest: Digest) -> str:
    """The 64 hex digits alone."""
    return digest[7:]


class Writer(Protocol):
    """What takes bytes: a file, a compressor, a socket."""

    def write(self, data: bytes, /) -> object: ...


class Reader(Protocol):
    """What gives bytes; `read` returns b"" at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


def read_all(source: Reader) -> bytes:
    """All that is left of `source`, however little of it one `read` gives."""
    return b"".join(iter(lambda: source.read(1 << 20), b""))


class HashingWriter:
    """Passes bytes on and keeps their digest and number."""

    def __init__(self, target: Writer | None = None) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes, /) -> None:
        self._hash.update(data)
        self.size_bytes += len(data)
        if self._target is not None:
            self._target.write(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())


class HashingReader:
    """Reads through, keeping digest and number of the bytes read."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self.size_bytes += len(data)
        return data

    @property
    def digest(self) -> Digest:
        """The digest of what was read so far."""
        return Digest("sha256:" + self._hash.hexdigest())
