"""Namespaces of other containers that a container joins: `--ipc container:NAME` and the like."""

from __future__ import annotations

from collections.abc import Callable

from builder.runtime.container import ContainerReport
from builder.runtime.errors import InvalidOptionError
from builder.runtime.security import Security, namespace_modes
from builder.sandbox.api import JoinedNamespace
from builder.sandbox.confinement import Namespace
from cache.record import replace

_PREFIX = "container:"


def with_full_ids(security: Security, find: Callable[[str], str]) -> Security:
    """Other containers by their ids, which stay: names are given away again.

    `find` gives the id of a name; its errors come out.
    """

    def full(mode: str) -> str:
        name = mode.removeprefix(_PREFIX)
        return mode if name == mode else _PREFIX + find(name)

    return replace(
        security,
        ipc=full(security.ipc),
        pid=full(security.pid),
        uts=full(security.uts),
        cgroupns=full(security.cgroupns),
    )


def joined_namespaces(
    security: Security, report: Callable[[str], ContainerReport]
) -> tuple[JoinedNamespace, ...]:
    """Those to join. `report` tells of a container by its id, and its errors come out.

    InvalidOptionError where the other one doesn't run or keeps its namespace to itself.
    """
    return tuple(
        _joined(kind, report(mode.removeprefix(_PREFIX)))
        for kind, mode in namespace_modes(security)
        if mode.startswith(_PREFIX)
    )


def _joined(kind: Namespace, other: ContainerReport) -> JoinedNamespace:
    name = other.container.name
    if other.status not in {"running", "paused"}:
        raise InvalidOptionError(
            f"the {kind} namespace of {name} can't be joined: the container isn't running",
            hint=f"pybuild start {name}",
        )
    if kind == "ipc" and other.container.host.security.ipc in {"", "private", "none"}:
        raise InvalidOptionError(
            f"the ipc namespace of {name} is its own alone",
            hint="the container that others join is run with --ipc shareable",
        )
    return JoinedNamespace(kind, other.state.pid, other.state.pid_started)
