"""`pybuild system df`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import click

from builder.cli.command import Command
from builder.cli.images import image_id
from builder.cli.ps_fields import command_text, id_text, status_text
from builder.cli.table import table
from builder.cli.units import ago, human_size
from builder.cli.warn import warn
from builder.commands.diskusage import (
    CacheUsage,
    ContainerUsage,
    DiskUsage,
    ImageUsage,
    UsageLine,
    disk_usage,
)
from builder.commands.images import ListedImage, created_at
from builder.errors import UsageError
from builder.image.reference import Reference, parse_reference
from builder.settings import settings_from
from builder.wiring import open_engine

_HEADINGS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_IMAGE_HEADINGS = "REPOSITORY,TAG,IMAGE ID,CREATED,SIZE,SHARED SIZE,UNIQUE SIZE,CONTAINERS"
_NONE = "<none>"


@click.command(cls=Command)
@click.option("-v", "--verbose", is_flag=True, help="Each image, container, volume and record.")
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(verbose: bool, template: str) -> None:
    """Show what of the store's room is used for what, and what a prune would give back."""
    if verbose and template:
        raise UsageError("system df: --format shows the sums; leave out -v")
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        usage = disk_usage(engine)
    click.echo(_details(usage, time.time()) if verbose else _sums(usage, template), nl=False)


def _sums(usage: DiskUsage, template: str) -> str:
    lines = [_fields(line) for line in usage.lines]
    if not template:
        return table([*line.values()] for line in (_HEADINGS, *lines))
    from builder.cli.gotemplate import format_rows
    from builder.cli.gotemplate_values import Fields

    return format_rows(template, map(Fields, lines), Fields(_HEADINGS))


def _fields(line: UsageLine) -> dict[str, str]:
    reclaimable = human_size(line.reclaimable_bytes, digits=4)
    if line.size_bytes:
        reclaimable += f" ({100 * line.reclaimable_bytes // line.size_bytes}%)"
    return {
        "Type": line.kind,
        "TotalCount": str(line.total),
        "Active": str(line.active),
        "Size": human_size(line.size_bytes, digits=4),
        "Reclaimable": reclaimable,
    }


def _details(usage: DiskUsage, now: float) -> str:
    images = [row for one in usage.images for row in _image_rows(one, now)]
    cache_bytes = next(line.size_bytes for line in usage.lines if line.kind == "Build Cache")
    return "\n".join(
        (
            "Images space usage:\n",
            _table(_IMAGE_HEADINGS, images),
            "Containers space usage:\n",
            _table(
                "CONTAINER ID,IMAGE,COMMAND,LOCAL VOLUMES,SIZE,CREATED,STATUS,NAMES",
                [_container_row(one, now) for one in usage.containers],
            ),
            "Local Volumes space usage:\n",
            _table(
                "VOLUME NAME,LINKS,SIZE",
                [
                    (one.name, str(one.links), human_size(one.size_bytes))
                    for one in usage.volumes
                ],
            ),
            f"Build cache usage: {human_size(cache_bytes, digits=4)}\n",
            _table(
                "CACHE ID,CACHE TYPE,SIZE,CREATED,LAST USED,SHARED",
                [_cache_row(one, now) for one in usage.cache],
            ),
        )
    )  # fmt: skip


def _table(headings: str, rows: Sequence[Sequence[str]]) -> str:
    return table((headings.split(","), *rows))


def _image_rows(usage: ImageUsage, now: float) -> Iterator[tuple[str, ...]]:
    """A line a tag."""
    image = usage.image
    tagged = [parse_reference(name) for name in image.names if "@" not in name]
    references: list[Reference | None] = [*tagged] or [None]
    for reference in references:
        yield (
            reference.familiar_repository if reference else _NONE,
            reference.tag if reference else _NONE,
            image_id(ListedImage(image, reference), truncate=True),
            ago(created_at(image), now=now),
            human_size(sum(image.layer_sizes)),
            human_size(usage.shared_bytes),
            human_size(usage.unique_bytes),
            str(usage.containers),
        )


def _container_row(usage: ContainerUsage, now: float) -> tuple[str, ...]:
    report = usage.report
    volumes = len(report.container.host.mounts.volumes)
    return (
        id_text(report, truncate=True),
        report.container.image_name,
        command_text(report, truncate=True),
        str(volumes),
        human_size(usage.size_bytes),
        ago(report.container.created, now=now),
        status_text(report, now=now),
        report.container.name,
    )


def _cache_row(usage: CacheUsage, now: float) -> tuple[str, ...]:
    return (
        usage.name.removeprefix("sha256:")[:12],
        usage.kind,
        human_size(usage.size_bytes),
        ago(usage.created or None, now=now),
        ago(usage.last_used, now=now),
        str(usage.is_shared).lower(),
    )
