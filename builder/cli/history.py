"""`pybuild history`."""

from __future__ import annotations

import os
import time
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.cli.table import table, truncated
from builder.cli.units import ago, human_size
from builder.commands.images import HistoryLine, history
from builder.image.assemble import seconds_of
from builder.image.platform import parse_platform
from builder.settings import settings_from
from builder.wiring import open_engine

_MISSING = "<missing>"
_CREATED_BY_WIDTH = 45


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    image: str
    human: bool
    no_trunc: bool
    quiet: bool
    template: str
    platform: str | None


@click.command(cls=Command)
@click.argument("image")
@click.option(
    "-H", "--human/--no-human", "human", default=True, help="Sizes and times for people (default)."
)
@click.option("--no-trunc", is_flag=True, help="Show all of each value.")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Of a name for several platforms (ours)."
)
def command(**arguments: Unpack[Arguments]) -> None:
    """Show the instructions that made IMAGE, the latest first, and what each added."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        platform = parse_platform(arguments["platform"]) if arguments["platform"] else None
        lines = history(engine, arguments["image"], platform)
    click.echo(_text(lines, arguments), nl=False)


def _text(lines: tuple[HistoryLine, ...], arguments: Arguments) -> str:
    now = time.time()
    rows = [_fields(line, now, arguments) for line in lines]
    if arguments["quiet"]:
        return "".join(f"{row['ID']}\n" for row in rows)
    if arguments["template"]:
        from builder.cli.gotemplate import format_rows
        from builder.cli.gotemplate_values import Fields

        return format_rows(arguments["template"], map(Fields, rows), Fields(_HEADINGS))
    created = "CreatedSince" if arguments["human"] else "CreatedAt"
    columns = ("ID", created, "CreatedBy", "Size", "Comment")
    return table([row[column] for column in columns] for row in (_HEADINGS, *rows))


_HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


def _fields(line: HistoryLine, now: float, arguments: Arguments) -> dict[str, str]:
    entry, truncate = line.entry, not arguments["no_trunc"]
    whole_id = line.image_id or _MISSING
    created_by = " ".join(entry.created_by.split())
    return {
        "ID": whole_id[7:19] if truncate and line.image_id else whole_id,
        "CreatedSince": ago(seconds_of(entry.created), now=now),
        "CreatedAt": entry.created,
        "CreatedBy": truncated(created_by, _CREATED_BY_WIDTH) if truncate else entry.created_by,
        "Size": human_size(line.size_bytes) if arguments["human"] else str(line.size_bytes),
        "Comment": entry.comment,
    }
