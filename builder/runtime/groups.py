"""A container's control group, from before its start to after its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from builder.kernel.cgroup import ControlGroup
from builder.runtime.container import Container
from builder.sandbox import cgroup

COUNTED = ("memory", "cpuacct", "pids")
"""The controllers of a group without limits: they count what `stats` shows, and OOM kills."""


def make_group(container: Container, record: Callable[[ControlGroup], None]) -> ControlGroup:
    """A new group for the container; false where this system lets us make none.

    `record` writes it down before anything is made, for whoever has to remove it.
    """
    group = cgroup.plan(container.container_id, COUNTED)
    if not group:
        return group
    record(group)
    return cgroup.make(group, COUNTED)


def end_group(group: ControlGroup, *, timeout_s: float) -> None:
    """Kill what is left in the group of a container that has ended, and remove it, if we may."""
    with suppress(OSError):
        group.kill_all()
    with suppress(OSError):
        group.remove(timeout_s)
