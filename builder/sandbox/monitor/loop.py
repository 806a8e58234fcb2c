"""The one loop of a process: what to do when a descriptor is ready, or a time has come."""

from __future__ import annotations

import select
import time

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE_ONLY = 0  # hang-ups and errors, which are always told
_NO_TIMEOUT = None

TYPE_CHECKING = False  # `typing` is not imported here: see builder.sandbox.child
if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """Something to be done at a time."""

    __slots__ = ("at", "callback")

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback


class Loop:
    """Calls back, one at a time. A callback may watch and unwatch whatever it likes."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with what is ready of `fd`, in place of what was to be called before."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """To be called before `fd` is closed. One that isn't watched is no error."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call it once, that much later."""
        timer = Timer(time.monotonic() + delay_s, callback)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Never call it. One that was called already, or none, is no error."""
        if timer in self._timers:
            self._timers.remove(timer)

    def step(self) -> None:
        """Wait until there is something to do, and do it."""
        for fd, events in self._poll.poll(self._timeout_ms()):
            handler = self._handlers.get(fd)  # an earlier one of this round may have unwatched it
            if handler is not None:
                handler(events)
        now = time.monotonic()
        for timer in tuple(self._timers):
            if timer.at <= now and timer in self._timers:
                self._timers.remove(timer)
                timer.callback()

    def _timeout_ms(self) -> float | None:
        if not self._timers:
            return _NO_TIMEOUT
        first = min(timer.at for timer in self._timers)
        return max(0.0, first - time.monotonic()) * 1000 + 1  # poll rounds down
