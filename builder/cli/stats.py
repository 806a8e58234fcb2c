"""`pybuild stats`."""

from __future__ import annotations

import os
import sys
from itertools import islice
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.cli.gotemplate import format_rows
from builder.cli.gotemplate_values import Fields
from builder.cli.units import binary_size, human_size
from builder.commands.stats import Sample, samples
from builder.settings import settings_from
from builder.wiring import open_engine

_TABLE = (
    r"table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}"
    r"\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
)
_INTERVAL_S = 1.0
_ONCE_INTERVAL_S = 0.5  # for a figure of the processor there must be some time
_HOME, _CLEAR, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    containers: tuple[str, ...]
    every: bool
    template: str
    no_stream: bool
    no_trunc: bool


@click.command(cls=Command)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]...")
@click.option("-a", "--all", "every", is_flag=True, help="Containers too that don't run.")
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, table or json."
)
@click.option("--no-stream", is_flag=True, help="Show it once.")
@click.option("--no-trunc", is_flag=True, help="Show all of each value.")
def command(**arguments: Unpack[Arguments]) -> None:
    """Show what containers use: processors, memory, network, disks, processes."""
    once = arguments["no_stream"]
    template = {"": _TABLE, "table": _TABLE}.get(arguments["template"], arguments["template"])
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, mounts=False) as engine:
        found = samples(
            engine,
            arguments["containers"],
            every=arguments["every"],
            interval_s=_ONCE_INTERVAL_S if once else _INTERVAL_S,
        )
        screen = not once and sys.stdout.isatty()
        if screen:
            click.echo(_CLEAR, nl=False)
        for taken in islice(found, 1) if once else found:
            rows = (_fields(sample, truncate=not arguments["no_trunc"]) for sample in taken)
            text = format_rows(template, rows, _HEADINGS)
            click.echo(_over_the_last(text) if screen else text, nl=False)
            sys.stdout.flush()


def _over_the_last(text: str) -> str:
    """From the top of the screen, without a moment when it is empty."""
    lines = (f"{line}{_END_OF_LINE}\n" for line in text.splitlines())
    return f"{_HOME}{''.join(lines)}{_END_OF_SCREEN}"


_HEADINGS = Fields(
    Container="CONTAINER",
    ID="CONTAINER ID",
    Name="NAME",
    CPUPerc="CPU %",
    MemUsage="MEM USAGE / LIMIT",
    MemPerc="MEM %",
    NetIO="NET I/O",
    BlockIO="BLOCK I/O",
    PIDs="PIDS",
)


def _fields(sample: Sample, *, truncate: bool) -> Fields:
    container, usage = sample.report.container, sample.usage
    container_id = container.short_id if truncate else container.container_id
    if usage is None:
        return Fields(
            Container=sample.asked,
            ID=container_id,
            Name=container.name,
            CPUPerc="--",
            MemUsage="-- / --",
            MemPerc="--",
            NetIO="--",
            BlockIO="--",
            PIDs="--",
        )
    memory = f"{binary_size(usage.memory_bytes)} / {binary_size(usage.memory_limit_bytes)}"
    return Fields(
        Container=sample.asked,
        ID=container_id,
        Name=container.name,
        CPUPerc=f"{sample.cpu_percent:.2f}%",
        MemUsage=memory,
        MemPerc=f"{sample.memory_percent:.2f}%",
        NetIO=f"{human_size(usage.received_bytes)} / {human_size(usage.sent_bytes)}",
        BlockIO=f"{human_size(usage.read_bytes)} / {human_size(usage.written_bytes)}",
        PIDs=str(usage.processes),
    )
