"""`ps --format`: the fields that a template may use."""

from __future__ import annotations

import time
from collections.abc import Callable

from builder.cli.gotemplate import format_rows
from builder.cli.gotemplate_values import Fields
from builder.cli.ps_fields import (
    command_text,
    id_text,
    networks_text,
    ports_text,
    size_text,
    status_text,
)
from builder.cli.table import truncated
from builder.cli.units import ago
from builder.runtime.container import ContainerReport
from builder.runtime.volumes import source_of

_MOUNT_WIDTH = 15


def formatted(reports: tuple[ContainerReport, ...], template: str, *, truncate: bool) -> str:
    """The containers as `template` says."""
    now = time.time()
    rows = (_fields(report, now, truncate=truncate) for report in reports)
    return format_rows(template, rows, _headings())


def _headings() -> Fields:
    return Fields(
        ID="CONTAINER ID",
        Image="IMAGE",
        Command="COMMAND",
        CreatedAt="CREATED AT",
        RunningFor="CREATED",
        Ports="PORTS",
        State="STATE",
        Status="STATUS",
        Names="NAMES",
        Labels="LABELS",
        Label=_label_heading,
        Mounts="MOUNTS",
        LocalVolumes="LOCAL VOLUMES",
        Networks="NETWORKS",
        Size="SIZE",
    )


def _fields(report: ContainerReport, now: float, *, truncate: bool) -> Fields:
    container = report.container
    labels = dict(container.config.labels)
    return Fields(
        ID=id_text(report, truncate=truncate),
        Image=container.image_name,
        Command=command_text(report, truncate=truncate),
        CreatedAt=time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(container.created)),
        RunningFor=ago(container.created, now=now),
        Ports=ports_text(report),
        State=report.status,
        Status=status_text(report, now=now),
        Names=container.name,
        Labels=",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        Label=_label_reader(labels),
        Mounts=",".join(_mounts(report, truncate=truncate)),
        LocalVolumes=str(len(container.anonymous_volumes)),
        Networks=networks_text(report),
        Size=size_text(report),
    )


def _mounts(report: ContainerReport, *, truncate: bool) -> list[str]:
    sources = [source_of(mount) for mount in report.container.host.mounts.entries]
    return [truncated(source, _MOUNT_WIDTH) for source in sources] if truncate else sources


def _label_reader(labels: dict[str, str]) -> Callable[[str], str]:
    return lambda name: labels.get(name, "")


def _label_heading(name: str) -> str:
    """`com.example.app-role` as `app role`."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")
