"""Ending, holding still and awaiting containers that run: all by asking their monitors."""

from __future__ import annotations

import signal
import time

from builder.engine import Engine
from builder.runtime import control
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.errors import ContainerNotRunningError, ContainerRunningError
from builder.runtime.policies import DEFAULT_STOP_TIMEOUT_S
from builder.runtime.signalnames import signal_number, stop_signal
from cache.record import record

_CLEANED_WITHIN_S = 15.0
_LOOK_AGAIN_S = 0.005


@record
class StopRequest:
    """How to stop."""

    timeout_s: int | None = None  # None: the container's own; -1: for ever
    signal: str = ""  # "": the container's own


def stop_container(engine: Engine, text: str, request: StopRequest) -> None:
    """Ask the container to end, end it when it takes too long; returns when it is over.

    Nothing happens to one that doesn't run. No restart policy starts it again.
    """
    number = signal_number(request.signal) if request.signal else 0
    containers, report = _found(engine, text)
    if not report.is_running:
        return
    container = report.container
    paths = containers.paths(container.container_id)
    number = number or stop_signal(container.config.stop_signal)
    containers.journal.note_container(container, "kill", signal=str(number))
    control.stop(paths, number, timeout_s=_timeout_s(report, request))
    await_release(containers, container.container_id)
    containers.journal.note_container(container, "stop")


def _timeout_s(report: ContainerReport, request: StopRequest) -> float | None:
    """None for ever."""
    timeout_s = request.timeout_s
    if timeout_s is None:
        timeout_s = report.container.host.policies.stop_timeout_s
    if timeout_s is None:
        timeout_s = DEFAULT_STOP_TIMEOUT_S
    return None if timeout_s < 0 else timeout_s


def await_release(containers: Containers, container_id: str) -> None:
    """Wait until a container that has ended is cleaned up, so that the next command finds it so."""
    deadline = time.monotonic() + _CLEANED_WITHIN_S
    while containers.is_held(container_id) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)


def kill_container(engine: Engine, text: str, number: int) -> None:
    """Send the container's first process a signal. ContainerNotRunningError."""
    containers, report = _running(engine, text)
    container = report.container
    paths = containers.paths(container.container_id)
    if not control.signal(paths, number):
        raise _not_running(text)
    containers.journal.note_container(container, "kill", signal=str(number))
    if number == signal.SIGKILL:
        await_release(containers, container.container_id)


def pause_container(engine: Engine, text: str) -> None:
    """Hold all of its processes still. ContainerRunningError for one that is paused already."""
    containers, report = _running(engine, text)
    if report.status == "paused":
        raise ContainerRunningError(f"container {text} is already paused")
    if not control.pause(containers.paths(report.container.container_id)):
        raise _not_running(text)
    containers.journal.note_container(report.container, "pause")


def unpause_container(engine: Engine, text: str) -> None:
    """Let them go on. ContainerRunningError for one that isn't paused."""
    containers, report = _running(engine, text)
    if not control.unpause(containers.paths(report.container.container_id)):
        raise _not_running(text)
    containers.journal.note_container(report.container, "unpause")


def wait_container(engine: Engine, text: str) -> int:
    """Wait until it doesn't run; the exit code of its last run."""
    containers, report = _found(engine, text)
    container_id = report.container.container_id
    exit_code = control.wait(containers.paths(container_id)) if report.is_running else None
    if exit_code is None:
        exit_code = containers.report(report.container).state.exit_code
    return exit_code


def _found(engine: Engine, text: str) -> tuple[Containers, ContainerReport]:
    containers = Containers(engine.state, engine.database, engine.now)
    return containers, containers.report(containers.load(containers.find(text)))


def _running(engine: Engine, text: str) -> tuple[Containers, ContainerReport]:
    containers, report = _found(engine, text)
    if not report.is_running:
        raise _not_running(text)
    return containers, report


def _not_running(text: str) -> ContainerNotRunningError:
    return ContainerNotRunningError(f"container {text} is not running")
