"""One stream of bytes to several consumers at once, each in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

Sink = Callable[[bytes], object]

_BACKLOG = 4  # blocks that a consumer may be behind: memory stays flat
_INLINE_BYTES = 2 << 20  # less than that is not worth a thread


class FanOut:
    """Gives every block to every sink, in order.

    The sinks run at the same time once there is enough to do; a sink must let go of the
    interpreter lock to gain by it, as hashing, compressing and writing to files do. A block
    belongs to the sinks from `write` on. What a sink raises comes out of a later `write` or of
    `finish`.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._lanes: list[_Lane] = []
        self._inline_left = _INLINE_BYTES

    def write(self, block: bytes) -> None:
        if not self._lanes and self._inline_left > 0:
            self._inline_left -= len(block)
            for sink in self._sinks:
                sink(block)
            return
        if not self._lanes:
            self._lanes = [_Lane(sink) for sink in self._sinks]
        for lane in self._lanes:
            lane.put(block)

    def finish(self) -> None:
        """Wait until every sink has had everything."""
        for lane in self._lanes:
            lane.finish()
        self._lanes = []

    def close(self) -> None:
        """End the threads without waiting for what they haven't done. Idempotent."""
        for lane in self._lanes:
            lane.cancel()
        self._lanes = []


class _Lane:
    """A sink and its thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._blocks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="layer-sink", daemon=True)
        self._thread.start()

    def put(self, block: bytes) -> None:
        with self._changed:
            while len(self._blocks) >= _BACKLOG and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            self._blocks.append(block)
            self._changed.notify()

    def finish(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        with self._changed:
            self._blocks.clear()
            self._ending = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._blocks and not self._ending:
                    self._changed.wait()
                if not self._blocks:
                    return
                block = self._blocks.popleft()
                self._changed.notify()
            try:
                self._sink(block)
            except BaseException as error:  # noqa: BLE001 raised again by whoever feeds this thread
                with self._changed:
                    self._error = error
                    self._blocks.clear()
                    self._changed.notify()
                return
