"""Exact reads from a stream, as an archive's reader needs them."""

from __future__ import annotations

from builder.layer.errors import BadArchiveError
from cache.digest import Reader

_CHUNK = 1 << 20


class TarInput:
    """Takes big pieces from a source and gives out small ones."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._piece = b""
        self._position = 0

    def up_to(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end of the source."""
        end = self._position + size
        if end <= len(self._piece):
            data = self._piece[self._position : end]
            self._position = end
            return data
        parts = [self._piece[self._position :]]
        missing = size - len(parts[0])
        while missing and self._refill():
            parts.append(self._piece[:missing])
            self._position = len(parts[-1])
            missing -= self._position
        return b"".join(parts)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; BadArchiveError where there are fewer."""
        data = self.up_to(size)
        if len(data) != size:
            raise cut_short()
        return data

    def some(self, size: int) -> bytes:
        """At least one and at most `size` of the next bytes, without copying them together."""
        if self._position >= len(self._piece) and not self._refill():
            raise cut_short()
        data = self._piece[self._position : self._position + size]
        self._position += len(data)
        return data

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.some(size))

    def drain(self) -> None:
        """Read what is left: a source that checks its bytes does so at its end."""
        while self._refill():
            pass

    def _refill(self) -> bool:
        self._piece = self._source.read(_CHUNK)
        self._position = 0
        return bool(self._piece)


def cut_short() -> BadArchiveError:
    """What to raise where an archive ends too early."""
    return BadArchiveError("the archive is truncated", hint="was it copied or downloaded whole?")
