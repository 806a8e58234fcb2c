"""Remove containers."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from builder.engine import Engine
from builder.kernel.cgroup import ControlGroup
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.control import kill
from builder.runtime.errors import BrokenContainerError, ContainerRunningError

_END_WAIT_S = 15.0


def remove_container(engine: Engine, text: str, *, force: bool, volumes: bool) -> None:
    """Remove the container that `text` names, with `volumes` those that are its alone too.

    ContainerRunningError for one that runs, unless `force` ends it.
    """
    containers = Containers(engine.state, engine.database, engine.now)
    container_id = containers.find(text)
    report = _report(containers, container_id)
    if report is not None and report.is_running:
        if not force:
            raise ContainerRunningError(
                f"container {text} is running", hint="end it first, or use pybuild rm -f"
            )
        _end(containers, report)

    def runs(container_id: str) -> bool:
        now = _report(containers, container_id)
        return now is not None and now.is_running

    own = report.container.anonymous_volumes if report is not None and volumes else ()
    try:
        # whoever cleans up after its end may still be at it
        with containers.held(
            container_id, wait_s=_END_WAIT_S, given_up=lambda: not force and runs(container_id)
        ):
            containers.remove(container_id, volumes=own)
    except FileNotFoundError:  # it had --rm, and is gone with its process
        containers.sweep()


def _report(containers: Containers, container_id: str) -> ContainerReport | None:
    try:
        return containers.report(containers.load(container_id))
    except BrokenContainerError:
        return None


def _end(containers: Containers, report: ContainerReport) -> None:
    """Kill it, by the process that runs it where that is alive."""
    if not kill(containers.paths(report.container.container_id)):
        group = ControlGroup.of_texts(report.state.cgroup)
        with suppress(ProcessLookupError):
            os.kill(report.state.pid, signal.SIGKILL)
        with suppress(OSError):  # it may be gone with the process
            group.kill_all()  # the pybuild may have died during a pause; what is frozen stays
