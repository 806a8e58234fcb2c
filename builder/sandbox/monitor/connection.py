"""Clients on the container's socket: messages in, answers out, never a wait for any of them."""

from __future__ import annotations

import _socket
import os

from builder.sandbox.child import wire
from builder.sandbox.monitor.loop import READABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.sandbox.child.wire import Message
    from builder.sandbox.monitor.streams import Attached

    Handler = Callable[["Connection", Message, tuple[int, ...]], None]

OK = "ok"
ERROR = "error"  # and why


class Connection:
    """One client. Its requests are told to `handler`, its going away to `gone`."""

    def __init__(
        self,
        loop: Loop,
        channel: _socket.socket,
        handler: Handler,
        gone: Callable[[Connection], None],
    ) -> None:
        channel.settimeout(0)
        self.attached: Attached | None = None
        self.terminal_fd = -1  # of a process that it has started
        self._loop = loop
        self._channel = channel
        self._handler = handler
        self._gone = gone
        loop.watch(channel.fileno(), READABLE, self._ready)

    @property
    def is_open(self) -> bool:
        return self._channel.fileno() >= 0

    def send(self, *message: str | int, fds: tuple[int, ...] = ()) -> None:
        """Tell the client; one that takes nothing any more is dropped."""
        if not self.is_open:
            return
        try:
            wire.send(self._channel, message, fds)
        except OSError:  # BlockingIOError: it does not read
            self.close()

    def close(self) -> None:
        """Hang up. Idempotent."""
        if not self.is_open:
            return
        self._loop.unwatch(self._channel.fileno())
        self._channel.close()
        self._gone(self)

    def _ready(self, _: int) -> None:
        try:
            message, fds = wire.receive(self._channel)
        except BlockingIOError:
            return
        except (OSError, EOFError, ValueError, TypeError):  # reset, or nothing of ours
            self.close()
            return
        if not message:
            self.close()
            return
        try:
            self._handler(self, message, fds)
        except OSError as error:
            self.send(ERROR, f"{error.strerror or error}")


def close_all(fds: tuple[int, ...]) -> None:
    """What came with a message that had no use for it."""
    for fd in fds:
        os.close(fd)
