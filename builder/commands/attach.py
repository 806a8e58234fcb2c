"""Tie the caller's streams to a container that runs."""

from __future__ import annotations

from builder.runtime.containers import Containers
from builder.runtime.control import connected
from builder.runtime.errors import ContainerNotRunningError, ContainerRunningError
from builder.runtime.following import follow, given_up
from builder.runtime.signals import queued_signals
from builder.runtime.streams import CallerStreams, StreamChoice, attached
from builder.runtime.terminal import require_terminal
from cache.record import record


@record
class AttachRequest:
    """What is asked for."""

    container: str  # a name, an id or its beginning
    caller: CallerStreams = CallerStreams()
    stdin: bool = True
    forward_signals: bool = True
    detach_keys: bytes = b""


def attach(containers: Containers, request: AttachRequest) -> int | None:
    """The exit status of the container; None where the detach keys were typed.

    For the main thread. ContainerNotRunningError, ContainerRunningError for a paused one.
    """
    container_id = containers.find(request.container)
    container = containers.load(container_id)
    host = container.host
    if containers.state(container_id).paused:
        raise ContainerRunningError(
            f"container {request.container} is paused", hint="pybuild unpause lets it go on"
        )
    choice = StreamChoice(
        stdin=request.stdin and host.stdin_open,
        terminal=host.terminal,
        detach_keys=request.detach_keys,
    )
    if choice.terminal and choice.stdin:
        require_terminal(request.caller.stdin)
    with (
        connected(containers.paths(container_id)) as connection,
        queued_signals() as signals,
        attached(request.caller, choice) as attachment,
    ):
        ends = attachment.ends
        flags = tuple(int(fd >= 0) for fd in ends)
        fds = tuple(fd for fd in ends if fd >= 0)
        if connection is None or connection.ask("attach", *flags, fds=fds) is None:
            raise ContainerNotRunningError(
                f"container {request.container} is not running",
                hint="pybuild start starts it again",
            )
        attachment.begin()
        exit_code = follow(connection, signals, attachment, forward_signals=request.forward_signals)
        if exit_code is not None:
            attachment.drain(lambda: given_up(signals))
    return exit_code
