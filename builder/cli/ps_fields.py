"""What `ps` shows of a container, in Docker's words."""

from __future__ import annotations

from builder.cli.table import truncated
from builder.cli.units import ago, human_duration, human_size
from builder.runtime.container import ContainerReport

_COMMAND_WIDTH = 20


def id_text(report: ContainerReport, *, truncate: bool) -> str:
    """12 digits, or all 64."""
    return report.container.short_id if truncate else report.container.container_id


def command_text(report: ContainerReport, *, truncate: bool) -> str:
    """The command line in quotes."""
    text = " ".join(report.container.args)
    return f'"{truncated(text, _COMMAND_WIDTH) if truncate else text}"'


def status_text(report: ContainerReport, *, now: float) -> str:
    """`Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`."""
    state = report.state
    match report.status:
        case "created":
            return "Created"
        case "running":
            return f"Up {human_duration(max(0.0, now - state.started_at))}{_health_text(report)}"
        case "paused":
            return f"Up {human_duration(max(0.0, now - state.started_at))} (Paused)"
        case "restarting":
            return f"Restarting ({state.exit_code}) {ago(state.finished_at, now=now)}"
        case "exited":
            return f"Exited ({state.exit_code}) {ago(state.finished_at, now=now)}"


def _health_text(report: ContainerReport) -> str:
    match report.health:
        case "" | "none":
            return ""
        case "starting":
            return " (health: starting)"
        case status:
            return f" ({status})"


def size_text(report: ContainerReport) -> str:
    """What it wrote, and that with its image; "0B" where it was not measured."""
    if report.sizes is None:
        return human_size(0)
    own, whole = map(human_size, report.sizes)
    return f"{own} (virtual {whole})"


def networks_text(report: ContainerReport) -> str:
    """The names of the networks that it is on."""
    memberships = report.container.host.networking.memberships
    return ",".join(item.network for item in memberships) or report.container.network_mode


def ports_text(report: ContainerReport) -> str:
    """Those that are published, and where, then those that are only exposed."""
    return report.ports
