"""One request to the sandbox server, followed until the program runs or has failed to."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable

from builder.errors import IsolationError
from builder.sandbox.api import Hooks
from builder.sandbox.child import wire
from builder.sandbox.child.request import Request, encoded
from builder.sandbox.failures import error_of
from builder.sandbox.process import SandboxProcess
from builder.sandbox.setup_report import follow_setup
from cache.errors import PybuildError


def launch(
    control: _socket.socket,
    request: Request,
    fds: list[int],
    hooks: Hooks,
    warn: Callable[[str], None],
) -> SandboxProcess:
    """Returns when the program was executed; `fds` are what the request's places stand for.

    Any exception leaves no process behind.
    """
    setup_socket, process = _ask(control, request, fds)
    try:
        _prepare(setup_socket, process, hooks, warn)
        follow_setup(setup_socket, process.set_terminal, warn)
    except BaseException:
        process.kill()
        process.wait()
        if process.terminal_fd is not None:
            os.close(process.terminal_fd)
        raise
    finally:
        setup_socket.close()
    return process


def _prepare(
    setup_socket: _socket.socket,
    process: SandboxProcess,
    hooks: Hooks,
    warn: Callable[[str], None],
) -> None:
    """Do the caller's part while the child waits for it, or makes its mounts meanwhile."""
    for hook in (hooks.on_clone, hooks.before_execute):
        if hook is None:
            continue
        try:
            hook(process.pid)
        except (OSError, PybuildError):
            process.kill()  # so that its socket ends
            follow_setup(
                setup_socket, process.set_terminal, warn, ends=False
            )  # its own failure may be the cause
            raise
        wire.send(setup_socket, (wire.GO,))


def _ask(
    control: _socket.socket, request: Request, fds: list[int]
) -> tuple[_socket.socket, SandboxProcess]:
    setup_here, setup_there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    status_here, status_there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    request_fd = os.memfd_create("request")
    try:
        os.pwrite(request_fd, encoded(request), 0)
        own = (setup_there.fileno(), status_there.fileno(), request_fd)
        wire.send(control, ("start",), (*own, *fds))
        status_there.close()  # so that the server's end is its only other one
        return setup_here, _started(status_here)
    except BaseException:
        setup_here.close()
        status_here.close()
        raise
    finally:
        os.close(request_fd)
        setup_there.close()
        status_there.close()


def _started(status_socket: _socket.socket) -> SandboxProcess:
    message, fds = wire.receive(status_socket)
    match message:
        case (wire.STARTED, int(pid)):
            return SandboxProcess(pid, fds[0], status_socket)
        case (wire.FAILED, str(operation), int(number), str(path)):
            raise error_of(operation, number, path)
        case _:
            raise IsolationError("the sandbox server has ended", hint="was it killed?")
