"""Reading in a thread of its own, ahead of whoever takes what was read."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Self

from cache.digest import Reader

_CHUNK = 1 << 20
_CHUNKS_AHEAD = 4  # memory stays flat


class ReadAhead:
    """A reader over another one whose work (decompressing, hashing) is done in a thread.

    What `source` raises comes out of `read`. A `with` block: the thread has ended after it.
    """

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._chunks: deque[bytes] = deque()
        self._rest = memoryview(b"")
        self._changed = threading.Condition()
        self._ended = False  # by the thread: nothing more comes
        self._closed = False  # by the reader: nothing more is wanted
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-ahead")
        self._thread.start()

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer where a piece ends; b"" at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if not self._rest:
            self._rest = memoryview(self._next())
        part = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return part

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _next(self) -> bytes:
        with self._changed:
            while not self._chunks and not self._ended:
                self._changed.wait()
            if self._chunks:
                chunk = self._chunks.popleft()
                self._changed.notify_all()
                return chunk
            if self._error is not None:
                raise self._error
            return b""

    def _run(self) -> None:
        try:
            while chunk := self._source.read(_CHUNK):
                if not self._offer(chunk):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by `read`
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _offer(self, chunk: bytes) -> bool:
        with self._changed:
            while len(self._chunks) >= _CHUNKS_AHEAD and not self._closed:
                self._changed.wait()
            self._chunks.append(chunk)
            self._changed.notify_all()
            return not self._closed
