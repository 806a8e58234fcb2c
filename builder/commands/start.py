"""Make containers without running them, and start those that there are."""

from __future__ import annotations

from builder.commands.run import (
    RunOutcome,
    RunRequest,
    check_terminal,
    new_container_of,
    run_held,
    runner_of,
    write_cidfile,
)
from builder.commands.stop import StopRequest, stop_container
from builder.engine import Engine
from builder.runtime.bundle import RunOptions
from builder.runtime.container import Container
from builder.runtime.containers import Containers, HeldContainer
from builder.runtime.errors import ContainerRunningError
from builder.runtime.lifecycle import Runner
from builder.runtime.streams import CallerStreams
from cache.record import record, replace

_CLEANED_WITHIN_S = 15.0


@record
class StartRequest:
    """How to start."""

    attach: bool = False  # in the foreground
    stdin: bool = False
    detach_keys: bytes = b""


def create(engine: Engine, request: RunRequest) -> str:
    """A new container that waits for its start; its id."""
    containers = Containers(engine.state, engine.database, engine.now)
    containers.sweep()
    container = new_container_of(engine, containers, request)
    with containers.created(container, waits=True) as held:
        if request.cidfile:
            write_cidfile(request.cidfile, held.container.container_id)
    return container.container_id


def start_container(engine: Engine, text: str, request: StartRequest) -> RunOutcome:
    """Start the container that `text` names, or leave it be where it runs already.

    For the main thread. Errors as `commands.run.run` has them.
    """
    executor = engine.executor()
    executor.prepare()
    runner = runner_of(engine, executor)
    containers = runner.containers
    container = containers.load(containers.find(text))
    if _runs(containers, container, text):
        return RunOutcome(container.container_id, None)
    try:
        # after its end somebody may still clean up
        with containers.held(
            container.container_id,
            wait_s=_CLEANED_WITHIN_S,
            given_up=lambda: containers.report(container).is_running,
        ) as lock_fd:
            return _started(HeldContainer(container, lock_fd), runner, request)
    except ContainerRunningError:
        if _runs(containers, container, text):  # somebody else was faster
            return RunOutcome(container.container_id, None)
        raise


def _runs(containers: Containers, container: Container, text: str) -> bool:
    status = containers.report(container).status
    if status == "paused":
        raise ContainerRunningError(
            f"container {text} is paused", hint="pybuild unpause lets it go on"
        )
    return status in {"running", "restarting"}


def _started(held: HeldContainer, runner: Runner, request: StartRequest) -> RunOutcome:
    host = held.container.host
    if host.auto_remove:
        runner.containers.goes_with_process(held.container.container_id)
    wanted = {"stdout", "stderr", *["stdin"] * request.stdin}
    as_run = RunRequest(
        image="",
        options=RunOptions(host=replace(host, stdin_open=host.stdin_open and request.stdin)),
        caller=CallerStreams(),
        detached=not (request.attach or request.stdin),
        attached=frozenset(wanted),
        detach_keys=request.detach_keys,
        forward_signals=request.attach or request.stdin,
    )
    check_terminal(as_run)
    return replace(run_held(held, runner, as_run), announced=False)


def restart_container(engine: Engine, text: str, request: StopRequest) -> None:
    """Stop it, if it runs, and start it again."""
    stop_container(engine, text, request)
    start_container(engine, text, StartRequest())
    containers = Containers(engine.state, engine.database, engine.now)
    containers.journal.note_container(containers.load(containers.find(text)), "restart")
