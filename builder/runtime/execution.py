"""One more process in a container that runs: the side of whoever asks for it."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.runtime.errors import ContainerNotRunningError, ContainerRunningError
from builder.sandbox.child import wire
from builder.sandbox.failures import error_of
from builder.sandbox.monitor.asked import Asked, encoded
from builder.sandbox.setup_report import follow_setup

if TYPE_CHECKING:
    from builder.runtime.control import Connection
    from builder.sandbox.child.wire import Message


class Execution:
    """A process that was started through `connection`, until it ends."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self.connection = connection
        self.pid = pid  # as the machine counts
        self.terminal_fd: int | None = None  # the pty's master, which the caller closes

    def wait(self) -> int | None:
        """Its exit code; None where the container and its monitor went away."""
        message, _ = self.connection.receive(None)
        match message:
            case (wire.ENDED, int(wait_status)):
                code = os.waitstatus_to_exitcode(wait_status)
                return code if code >= 0 else 128 - code
            case _:
                return None


def start(
    connection: Connection, asked: Asked, fds: tuple[int, ...], warn: Callable[[str], None]
) -> Execution:
    """Returns when the program was executed; `fds` are what the places in `asked` stand for.

    ProgramNotFoundError, ProgramNotExecutableError; ContainerRunningError for a container that is
    paused or ends.
    """
    with ExitStack() as stack:
        setup_here, setup_there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        stack.callback(setup_here.close)
        stack.callback(setup_there.close)
        asked_fd = os.memfd_create("asked")
        stack.callback(os.close, asked_fd)
        os.pwrite(asked_fd, encoded(asked), 0)
        connection.send("exec", fds=(setup_there.fileno(), asked_fd, *fds))
        setup_there.close()
        execution = Execution(connection, _started(connection.receive()[0]))
        follow_setup(setup_here, lambda fd: _take(execution, fd), warn)
    return execution


def _started(message: Message) -> int:
    match message:
        case (wire.STARTED, int(pid)):
            return pid
        case (wire.FAILED, str(operation), int(number), str(path)):
            raise error_of(operation, number, path)
        case ("error", str(why)):
            raise ContainerRunningError(why)
        case _:
            raise ContainerNotRunningError("the container is not running any more")


def _take(execution: Execution, terminal_fd: int) -> None:
    """The monitor has a copy, so that the process keeps its terminal without its client."""
    execution.terminal_fd = terminal_fd
    execution.connection.send("terminal", fds=(terminal_fd,))
