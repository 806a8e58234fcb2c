"""What a container's monitor becomes the program for: cleaning up, and starting it again."""

from __future__ import annotations

import _socket
from typing import Literal

from builder.commands.run import runner_of
from builder.engine import Engine
from builder.runtime import ending
from builder.runtime.containers import HeldContainer
from builder.runtime.lifecycle import Restart, start
from cache.errors import PybuildError
from cache.record import record

Errand = Literal["clean", "restart"]


@record
class ErrandRequest:
    """What the monitor says."""

    errand: Errand
    container_id: str
    lock_fd: int  # the container's lock, which this process has
    listener: _socket.socket  # the container's socket, on which clients may be waiting


def do_errand(engine: Engine, request: ErrandRequest) -> None:
    """Do it. A container that can't be started again stays exited, with the reason in its state."""
    executor = engine.executor()
    runner = runner_of(engine, executor)
    container = runner.containers.load(request.container_id)
    state = runner.containers.state(request.container_id)
    if request.errand == "restart" and state.restarting:
        held = HeldContainer(container, request.lock_fd)
        try:
            start(held, runner, restart=Restart(request.listener, state))
        except PybuildError:
            ending.finish(container, runner.containers, runner.snapshots)
            raise
        return
    request.listener.close()
    ending.finish(container, runner.containers, runner.snapshots)
