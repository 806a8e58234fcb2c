"""Reading in a thread of its own, a few pieces ahead of whoever takes them."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Self

from cache.digest import Reader, read_all

_CHUNK = 1 << 20
_AHEAD = 4  # pieces: memory stays flat


class ReadAhead:
    """Gives what `source` gives, while that reads on. A `with` block; the thread ends with it.

    What the source raises comes out of `read`, at the place where it happened.
    """

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._pieces: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._at_end = False
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closing = True
            self._pieces.clear()
            self._changed.notify()
        self._thread.join()

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` of the next bytes, or all."""
        if size < 0:
            return read_all(self)
        if not size:
            return b""
        with self._changed:
            while not self._pieces and not self._at_end:
                self._changed.wait()
            if self._pieces:
                piece = self._pieces.popleft()
                if size < len(piece):
                    self._pieces.appendleft(piece[size:])
                    piece = piece[:size]
                self._changed.notify()
                return piece
            if self._error is not None:
                raise self._error
            return b""

    def _run(self) -> None:
        try:
            while self._put(self._source.read(_CHUNK)):
                pass
        except BaseException as error:  # noqa: BLE001 raised again by whoever reads
            self._error = error
        finally:
            with self._changed:
                self._at_end = True
                self._changed.notify()

    def _put(self, piece: bytes) -> bool:
        """Whether there may be more, and somebody who wants it."""
        with self._changed:
            while len(self._pieces) >= _AHEAD and not self._closing:
                self._changed.wait()
            if piece and not self._closing:
                self._pieces.append(piece)
                self._changed.notify()
            return bool(piece) and not self._closing
