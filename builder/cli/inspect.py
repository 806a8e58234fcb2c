"""`pybuild inspect`."""

from __future__ import annotations

import json
import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.inspect import MAPS, inspect
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.image.codec import JsonDict
from builder.image.platform import parse_platform
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import NotFoundError


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="A Go template.")
@click.option(
    "--type",
    "kind",
    default="",
    type=click.Choice(["", "image", "container"]),
    help="Look for these alone.",
)
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Of images for several platforms (ours)."
)
def command(names: tuple[str, ...], template: str, kind: str, platform: str | None) -> int:
    """Show all about images and containers, by name or id, as JSON."""
    status = EXIT_DONE
    documents: list[JsonDict] = []
    wanted = parse_platform(platform) if platform else None
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for name in names:
            document = inspect(engine, name, kind=kind, platform=wanted)
            if document is None:
                what = f"{kind or 'image or container'} {name}"
                failure.report(
                    NotFoundError(f"there is no {what}" + f" for {wanted}" * bool(wanted))
                )
                status = EXIT_FAILED
            else:
                documents.append(document)
    click.echo(_text(documents, template), nl=False)
    return status


def _text(documents: list[JsonDict], template: str) -> str:
    if not template:
        return json.dumps(documents, indent=4, ensure_ascii=False) + "\n"
    from builder.cli.gotemplate import format_value
    from builder.cli.gotemplate_values import fields_of

    return "".join(format_value(template, fields_of(document, MAPS)) for document in documents)
