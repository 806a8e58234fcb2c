"""What a new process says on its way to the program, read by whoever asked for it."""

from __future__ import annotations

import _socket
from collections.abc import Callable

from builder.errors import IsolationError
from builder.sandbox.child import wire
from builder.sandbox.failures import error_of


def follow_setup(
    setup_socket: _socket.socket,
    take_terminal: Callable[[int], None],
    warn: Callable[[str], None],
    *,
    ends: bool = True,
) -> None:
    """Read what the child says until its socket closes: at execve, where it `ends` by that."""
    executing = False
    while True:
        message, fds = wire.receive(setup_socket)
        match message:
            case (wire.TERMINAL,):
                take_terminal(fds[0])
            case (wire.WARNING, str(text)):
                warn(text)
            case (wire.EXECUTING,):
                executing = True
            case (wire.FAILED, str(operation), int(number), str(path)):
                raise error_of(operation, number, path)
            case (wire.CRASHED, str(text)):
                raise RuntimeError(f"the sandbox child failed at {text}")
            case _:
                break
    if ends and not executing:
        raise IsolationError(
            "the process was killed while its sandbox was being made", hint="was memory short?"
        )
