"""`pybuild ps`."""

from __future__ import annotations

import os
import time
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.cli.ps_fields import command_text, id_text, ports_text, size_text, status_text
from builder.cli.table import table
from builder.cli.units import ago
from builder.commands.ps import PsRequest, list_containers
from builder.runtime.container import ContainerReport
from builder.runtime.filters import parse_filter
from builder.settings import settings_from
from builder.wiring import open_engine

_HEADINGS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    every: bool
    quiet: bool
    last: int
    latest: bool
    size: bool
    no_trunc: bool
    filters: tuple[str, ...]
    template: str


@click.command(cls=Command)
@click.option("-a", "--all", "every", is_flag=True, help="Containers too that don't run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option("-n", "--last", default=-1, metavar="N", help="The latest N, whatever they do.")
@click.option("-l", "--latest", is_flag=True, help="The latest one, whatever it does.")
@click.option("-s", "--size", is_flag=True, help="Show how much they have written.")
@click.option("--no-trunc", is_flag=True, help="Show all of each value.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Those with this alone."
)
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(**arguments: Unpack[Arguments]) -> None:
    """List containers: those that run, the latest first."""
    request = PsRequest(
        every=arguments["every"],
        last=1 if arguments["latest"] else max(arguments["last"], 0),
        filters=tuple(map(parse_filter, arguments["filters"])),
        sizes=arguments["size"] or ".Size" in arguments["template"],
    )
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, mounts=request.sizes) as engine:  # files may be of others' ids
        reports = list_containers(engine, request)
    click.echo(_text(reports, arguments), nl=False)


def _text(reports: tuple[ContainerReport, ...], arguments: Arguments) -> str:
    truncate = not arguments["no_trunc"]
    if arguments["template"]:
        from builder.cli.ps_format import formatted

        return formatted(reports, arguments["template"], truncate=truncate)
    if arguments["quiet"]:
        return "".join(f"{id_text(report, truncate=truncate)}\n" for report in reports)
    rows = [_row(report, time.time(), truncate=truncate) for report in reports]
    if not arguments["size"]:
        return table((_HEADINGS, *rows))
    sizes = map(size_text, reports)
    return table(
        ((*_HEADINGS, "SIZE"), *((*row, size) for row, size in zip(rows, sizes, strict=True)))
    )


def _row(report: ContainerReport, now: float, *, truncate: bool) -> tuple[str, ...]:
    container = report.container
    return (
        id_text(report, truncate=truncate),
        container.image_name,
        command_text(report, truncate=truncate),
        ago(container.created, now=now),
        status_text(report, now=now),
        ports_text(report),
        container.name,
    )
