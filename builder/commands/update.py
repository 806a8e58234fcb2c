"""Change the limits and the restart policy of containers, running or not."""

from __future__ import annotations

from collections.abc import Callable

from builder.engine import Engine
from builder.errors import UsageError
from builder.runtime import control
from builder.runtime.container import Container
from builder.runtime.containers import Containers
from builder.runtime.groups import update_group
from builder.runtime.limits import Limits
from builder.runtime.policies import RestartPolicy
from cache.record import record, replace


@record
class UpdateRequest:
    """What is to change."""

    limits_of: Callable[[Limits], Limits]  # the limits from those that there are
    restart: RestartPolicy | None = None


def update_container(engine: Engine, text: str, request: UpdateRequest) -> None:
    """LimitError where a limit cannot be set; nothing has changed then."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    updated = _updated(container, request)
    report = containers.report(container)
    if report.is_running:
        if updated.host.limits != container.host.limits:
            update_group(report.state.cgroup, updated.host.limits)
        policy = request.restart
        if policy is not None:
            paths = containers.paths(container.container_id)
            control.update_restart_policy(paths, policy.name, policy.max_retries)
    containers.write_config(updated)
    containers.journal.note_container(updated, "update")


def _updated(container: Container, request: UpdateRequest) -> Container:
    host = container.host
    if request.restart is not None:
        if host.auto_remove and request.restart.name != "no":
            raise UsageError("a container with --rm cannot be restarted")
        host = replace(host, policies=replace(host.policies, restart=request.restart))
    return replace(container, host=replace(host, limits=request.limits_of(host.limits)))
