"""Bytes from one descriptor to several: none is lost, no writer gets ahead of a slow reader.

A source is not read while one of its sinks still has something to write, so that no more than one
chunk a sink is ever kept.
"""

from __future__ import annotations

import os

from builder.sandbox.monitor.loop import GONE_ONLY, READABLE, WRITABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES = 1 << 16
_MORE, _NOTHING_YET, _END = range(3)


class Sink:
    """Where bytes go. Owns its descriptor."""

    def __init__(self, loop: Loop, fd: int) -> None:
        os.set_blocking(fd, False)
        self.sources: list[Source] = []
        self._loop = loop
        self._fd = fd
        self._pending = b""
        self._closing = False
        loop.watch(fd, GONE_ONLY, self._ready)

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    @property
    def is_full(self) -> bool:
        """Whether there is something that could not be written yet."""
        return bool(self._pending)

    def write(self, chunk: bytes) -> None:
        """Now, or when the other side takes it. Nothing happens when that has gone."""
        if not self.is_open or self._closing:
            return
        if self._pending:
            self._pending += chunk
            return
        self._pending = chunk
        self._flush()

    def close(self) -> None:
        """When all is written."""
        self._closing = True
        if not self._pending:
            self.drop()

    def drop(self) -> None:
        """At once, with what was not written."""
        if self.is_open:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._pending = b""
        for source in tuple(self.sources):
            source.resume()

    def _ready(self, events: int) -> None:
        if events & ~WRITABLE and not events & WRITABLE:
            self.drop()
        else:
            self._flush()

    def _flush(self) -> None:
        try:
            written = os.write(self._fd, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:  # EPIPE, EIO: nobody reads any more
            self.drop()
            return
        self._pending = self._pending[written:]
        if self._pending:
            self._loop.watch(self._fd, WRITABLE, self._ready)
            return
        if self._closing:
            self.drop()
            return
        self._loop.watch(self._fd, GONE_ONLY, self._ready)
        for source in tuple(self.sources):
            source.resume()


class Source:
    """Where bytes come from. Owns its descriptor; `taken` gets each chunk before the sinks do."""

    def __init__(
        self,
        loop: Loop,
        fd: int,
        *,
        taken: Callable[[bytes], None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._fd = fd
        self._taken = taken
        self._ended = ended
        self._sinks: list[Sink] = []
        self._reading = False
        self.resume()

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def add(self, sink: Sink) -> None:
        """Give it what comes from now on."""
        self._sinks.append(sink)
        sink.sources.append(self)
        self.resume()

    def remove(self, sink: Sink) -> None:
        """Give it nothing more."""
        if sink in self._sinks:
            self._sinks.remove(sink)
            sink.sources.remove(self)
        self.resume()

    def resume(self) -> None:
        """Read, or don't, as the sinks are."""
        wanted = self.is_open and not any(sink.is_full for sink in self._sinks)
        if wanted and not self._reading:
            self._loop.watch(self._fd, READABLE, self._ready)
        elif self._reading and not wanted and self.is_open:
            self._loop.unwatch(self._fd)
        self._reading = wanted

    def drain(self) -> None:
        """Take what is there, however slow the sinks: the writers have ended. Then it is closed."""
        while self.is_open and self._read() == _MORE:
            continue
        self.close()

    def close(self) -> None:
        """Read nothing more; writers learn it. Idempotent; `ended` is called."""
        if not self.is_open:
            return
        self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._reading = False
        if self._ended is not None:
            self._ended()

    def _ready(self, _: int) -> None:
        if self._read() == _END:
            self.close()

    def _read(self) -> int:
        """One of _MORE, _NOTHING_YET, _END."""
        try:
            chunk = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return _NOTHING_YET
        except OSError:  # EIO: a terminal that nobody has open any more
            return _END
        if not chunk:
            return _END
        if self._taken is not None:
            self._taken(chunk)
        for sink in tuple(self._sinks):
            sink.write(chunk)
        self.resume()
        return _MORE
