"""`pybuild images`."""

from __future__ import annotations

import os
import time
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.cli.table import table
from builder.cli.units import ago, human_size
from builder.commands.images import FILTERS, ListedImage, created_at, list_images
from builder.settings import settings_from
from builder.wiring import open_engine

_NONE = "<none>"


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    pattern: str
    every: bool
    quiet: bool
    digests: bool
    no_trunc: bool
    filters: tuple[str, ...]
    template: str


@click.command(cls=Command)
@click.argument("pattern", default="", metavar="[NAME[:TAG]]")
@click.option("-a", "--all", "every", is_flag=True, help="All images (they always are).")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option("--digests", is_flag=True, help="Show digests too.")
@click.option("--no-trunc", is_flag=True, help="Show whole ids.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Those with this alone: {', '.join(FILTERS)}.",
)
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(**arguments: Unpack[Arguments]) -> None:
    """List images: the latest first, each of an image's names on a line."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        listed = list_images(engine, pattern=arguments["pattern"], filters=arguments["filters"])
    click.echo(_text(listed, arguments), nl=False)


def _text(listed: tuple[ListedImage, ...], arguments: Arguments) -> str:
    truncate = not arguments["no_trunc"]
    now = time.time()
    if arguments["quiet"]:
        ids = dict.fromkeys(image_id(line, truncate=truncate) for line in listed)
        return "".join(f"{one}\n" for one in ids)
    rows = [_fields(line, now, truncate=truncate) for line in listed]
    if arguments["template"]:
        from builder.cli.gotemplate import format_rows
        from builder.cli.gotemplate_values import Fields

        return format_rows(arguments["template"], map(Fields, rows), Fields(_HEADINGS))
    columns = _columns(with_digests=arguments["digests"])
    return table([row[column] for column in columns] for row in (_HEADINGS, *rows))


_HEADINGS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}


def _columns(*, with_digests: bool) -> tuple[str, ...]:
    digest = ("Digest",) if with_digests else ()
    return ("Repository", "Tag", *digest, "ID", "CreatedSince", "Size")


def _fields(line: ListedImage, now: float, *, truncate: bool) -> dict[str, str]:
    reference = line.reference
    created = created_at(line.image)
    return {
        "ID": image_id(line, truncate=truncate),
        "Repository": reference.familiar_repository if reference else _NONE,
        "Tag": (reference.tag if reference else "") or _NONE,
        "Digest": line.digest or _NONE,
        "CreatedSince": ago(created, now=now),
        "CreatedAt": local_time(created),
        "Size": human_size(line.size_bytes),
    }


def image_id(line: ListedImage, *, truncate: bool) -> str:
    """The id as a column has it."""
    whole = line.image.image_id
    return whole[7:19] if truncate else whole


def local_time(moment: float | None) -> str:
    """A time as docker's CreatedAt has it."""
    if moment is None:
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(moment))
