"""Run one more process in a container that runs."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.errors import EXIT_DONE, EXIT_SIGNAL_BASE
from builder.runtime import execution
from builder.runtime.control import Connection, connected
from builder.runtime.errors import ContainerNotRunningError
from builder.runtime.streams import DETACHED, CallerStreams, StreamChoice, attached
from builder.runtime.terminal import require_terminal, set_window_size
from builder.sandbox.monitor.asked import Asked
from cache.record import record

if TYPE_CHECKING:
    from builder.runtime.execution import Execution
    from builder.runtime.paths import ContainerPaths
    from builder.runtime.signals import SignalQueue
    from builder.runtime.streams import Attachment

_NO_STDIO = (-1, -1, -1)
_GIVING_UP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


@record
class ExecRequest:
    """All that is asked for."""

    container: str  # a name, an id or its beginning
    args: tuple[str, ...]
    caller: CallerStreams = CallerStreams()
    env: tuple[tuple[str, str | None], ...] = ()
    user: str | None = None  # None: as the container's first process
    working_dir: str = ""
    privileged: bool = False
    terminal: bool = False
    stdin_open: bool = False
    detached: bool = False
    detach_keys: bytes = b""


def execute(
    find: Callable[[str], ContainerPaths], request: ExecRequest, warn: Callable[[str], None]
) -> int:
    """The exit status of the process, or 0 where it is left alone. `find`: a container by a text.

    For the main thread. ProgramNotFoundError and ProgramNotExecutableError, or
    ContainerNotRunningError, where it can't be started.
    """
    paths = find(request.container)
    choice = StreamChoice(
        stdin=request.stdin_open and not request.detached,
        stdout=not request.detached,
        stderr=not request.detached,
        terminal=request.terminal,
        detach_keys=request.detach_keys,
    )
    if choice.terminal and choice.stdin:
        require_terminal(request.caller.stdin)
    with connected(paths) as connection:
        if connection is None:
            raise _not_running(request.container)
        if request.detached:
            _start(connection, request, _NO_STDIO, (0, 0), warn)
            return EXIT_DONE
        return _attached(connection, request, choice, warn)


def _attached(
    connection: Connection,
    request: ExecRequest,
    choice: StreamChoice,
    warn: Callable[[str], None],
) -> int:
    from builder.runtime.signals import queued_signals  # noqa: PLC0415 - not for -d

    with ExitStack() as stack:
        signals = stack.enter_context(queued_signals()) if choice.terminal else None
        attachment = stack.enter_context(attached(request.caller, choice))
        size = (attachment.window_size or (0, 0)) if choice.terminal else (0, 0)
        ends = _NO_STDIO if choice.terminal else attachment.ends
        started = _start(connection, request, ends, size, warn)
        attachment.begin(started.terminal_fd)
        status = _follow(started, attachment, signals)
        if status is None:
            return EXIT_DONE
        attachment.drain_what_is_there()
    return status


def _follow(started: Execution, attachment: Attachment, signals: SignalQueue | None) -> int | None:
    """The exit status; None where the detach keys were typed."""
    poller = select.poll()
    poller.register(started.connection.fileno(), select.POLLIN)
    poller.register(attachment.fileno(), select.POLLIN)
    if signals is not None:
        poller.register(signals.fileno(), select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if started.connection.fileno() in ready:
            status = started.wait()
            return EXIT_SIGNAL_BASE + signal.SIGKILL if status is None else status
        if attachment.fileno() in ready and DETACHED in attachment.events():
            return None
        if signals is not None and signals.fileno() in ready:
            for number in signals.take():
                if number in _GIVING_UP:  # the process goes on, as Docker's does
                    return EXIT_SIGNAL_BASE + number
                size = attachment.window_size
                if number == signal.SIGWINCH and size and started.terminal_fd is not None:
                    set_window_size(started.terminal_fd, size)


def _start(
    connection: Connection,
    request: ExecRequest,
    ends: tuple[int, int, int],
    terminal_size: tuple[int, int],
    warn: Callable[[str], None],
) -> Execution:
    fds = tuple(fd for fd in ends if fd >= 0)
    places = iter(range(len(fds)))
    stdin, stdout, stderr = (next(places) if fd >= 0 else -1 for fd in ends)
    asked = Asked(
        args=request.args,
        env=request.env,
        cwd=request.working_dir,
        user=None if request.user is None else _user(connection, request.container, request.user),
        privileged=request.privileged,
        terminal=request.terminal,
        terminal_size=terminal_size,
        stdio=(stdin, stdout, stderr),
    )
    return execution.start(connection, asked, fds, warn)


def _user(
    connection: Connection, container: str, text: str
) -> tuple[int, int, tuple[int, ...], str]:
    """uid, gid, groups and HOME, by the files that the container has now."""
    from builder.sandbox.accounts import lookup_user  # noqa: PLC0415 - for -u alone

    answer = connection.ask("root")
    if answer is None or not answer.fds:
        raise _not_running(container)
    root_fd = answer.fds[0]
    try:
        account = lookup_user(root_fd, text)
    finally:
        os.close(root_fd)
    own = account.credentials
    return own.uid, own.gid, own.groups, account.home


def _not_running(container: str) -> ContainerNotRunningError:
    return ContainerNotRunningError(
        f"container {container[:200]} is not running", hint="pybuild start starts it again"
    )
