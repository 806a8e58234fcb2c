"""A container's control group, from before its start to after its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from builder.kernel.cgroup import ControlGroup
from builder.runtime.container import Container
from builder.runtime.devices import rule_devices
from builder.runtime.limits import Limits
from builder.runtime.ociruntime.programs import has_own_device_rules
from builder.sandbox import cgroup, grouplimits
from builder.sandbox.errors import LimitError

COUNTED = ("memory", "cpu", "cpuacct", "pids", "blkio")
"""The controllers of a group without limits: they count what `stats` shows, and OOM kills."""

_LIMITABLE = (*COUNTED, "cpuset", "devices")


def make_group(container: Container, record: Callable[[ControlGroup], None]) -> ControlGroup:
    """A new group for the container, with its limits and devices; false where we may make none.

    `record` writes it down before anything is made, for whoever has to remove it. It is more than
    what is made: `update` may need the rest. LimitError for a limit that cannot be set.
    """
    limits = container.host.limits
    needed = grouplimits.controllers_of(limits.group)
    planned = cgroup.plan(
        container.container_id, _LIMITABLE, required=needed, parent=limits.cgroup_parent
    )
    if planned:
        record(planned)
    privileged = container.host.security.privileged
    wanted = COUNTED if privileged else (*COUNTED, "devices")
    group = cgroup.make(planned, wanted, required=needed)
    try:
        _limit(group, limits)
        if not privileged and not has_own_device_rules(container.host.runtime):
            group.rules_devices = rule_devices(group, limits)
    except BaseException:
        group.remove()
        raise
    return group


def _limit(group: ControlGroup, limits: Limits) -> None:
    if limits.cgroup_parent and not group:
        raise LimitError(
            f"--cgroup-parent {limits.cgroup_parent}: no group can be made there",
            hint="root may, and the user that it was delegated to",
        )
    grouplimits.apply(group, limits.group)


def update_group(texts: tuple[str, ...], limits: Limits) -> None:
    """Give the group of a running container, as its state has it, other limits. LimitError."""
    group = cgroup.extend(ControlGroup.of_texts(texts), grouplimits.controllers_of(limits.group))
    grouplimits.apply(group, limits.group)


def end_group(group: ControlGroup, *, timeout_s: float) -> None:
    """Kill what is left in the group of a container that has ended, and remove it, if we may."""
    with suppress(OSError):
        group.kill_all()
    with suppress(OSError):
        group.remove(timeout_s)
