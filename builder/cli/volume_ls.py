"""`pybuild volume ls`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.table import table
from builder.commands.volumes import FILTERS, ListedVolume, list_volumes
from builder.settings import settings_from
from builder.wiring import open_engine

_HEADINGS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Mountpoint": "MOUNTPOINT",
    "Scope": "SCOPE",
    "Size": "SIZE",
    "Status": "STATUS",
}
"""What a template may ask for; docker shows most of it for other drivers alone."""

_NOT_KNOWN = "N/A"


@click.command(cls=Command)
@click.option("-q", "--quiet", is_flag=True, help="Names alone.")
@click.option(
    *("-f", "--filter", "filters"),
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Those with this alone: {', '.join(FILTERS)}.",
)
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(quiet: bool, filters: tuple[str, ...], template: str) -> None:
    """List volumes, by name."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        listed = list_volumes(engine, filters)
    click.echo(_text(listed, template, quiet=quiet), nl=False)


def _text(listed: tuple[ListedVolume, ...], template: str, *, quiet: bool) -> str:
    if quiet:
        return "".join(f"{one.volume.name}\n" for one in listed)
    if template:
        from builder.cli.gotemplate import format_rows
        from builder.cli.gotemplate_values import Fields

        rows = (Fields(_fields(one)) for one in listed)
        return format_rows(template, rows, Fields(_HEADINGS))
    lines = (("local", one.volume.name) for one in listed)
    return table((("DRIVER", "VOLUME NAME"), *lines))


def _fields(listed: ListedVolume) -> dict[str, str]:
    labels = ",".join(f"{name}={value}" for name, value in listed.volume.labels)
    return {
        "Driver": "local",
        "Name": listed.volume.name,
        "Availability": _NOT_KNOWN,
        "Group": _NOT_KNOWN,
        "Labels": labels,
        "Links": _NOT_KNOWN,
        "Mountpoint": listed.data_dir,
        "Scope": "local",
        "Size": _NOT_KNOWN,
        "Status": _NOT_KNOWN,
    }
