"""A client in the foreground of a container: signals and keys in, its end out."""

from __future__ import annotations

import select
import signal
from typing import TYPE_CHECKING

from builder.runtime.container import EXIT_KILLED
from builder.runtime.streams import DETACHED, STDERR_CLOSED, STDOUT_CLOSED

if TYPE_CHECKING:
    from builder.runtime.control import Connection
    from builder.runtime.signals import SignalQueue
    from builder.runtime.streams import Attachment

_GIVING_UP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_CLOSED = {STDOUT_CLOSED: "stdout", STDERR_CLOSED: "stderr"}


def given_up(signals: SignalQueue) -> bool:
    """Whether the caller wants this process to end, whatever is left to do."""
    return not _GIVING_UP.isdisjoint(signals.take())


def follow(
    connection: Connection,
    signals: SignalQueue,
    attachment: Attachment,
    *,
    forward_signals: bool = True,
    owns: bool = False,
) -> int | None:
    """Until the container ends: its exit code; None where the detach keys were typed.

    With `owns` a closed stdout of the caller's closes the container's. EXIT_KILLED where the
    monitor went away.
    """
    poller = select.poll()
    for channel in (signals, connection, attachment):
        poller.register(channel.fileno(), select.POLLIN)
    if attachment.has_terminal:
        _resize(connection, attachment)  # it may have changed since the start
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if signals.fileno() in ready:
            _pass_on(connection, signals, attachment, forward_signals=forward_signals)
        if connection.fileno() in ready:
            exit_code = connection.wait_for_end()
            return EXIT_KILLED if exit_code is None else exit_code
        if attachment.fileno() in ready:
            for event in attachment.events():
                if event == DETACHED:
                    return None
                if owns:
                    connection.send("hangup", _CLOSED[event])


def _pass_on(
    connection: Connection, signals: SignalQueue, attachment: Attachment, *, forward_signals: bool
) -> None:
    for number in signals.take():
        if number == signal.SIGWINCH and attachment.has_terminal:
            _resize(connection, attachment)
        elif forward_signals:
            connection.send("forward", number)


def _resize(connection: Connection, attachment: Attachment) -> None:
    size = attachment.window_size
    if size is not None:
        connection.send("resize", *size)
