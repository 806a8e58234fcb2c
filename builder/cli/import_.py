"""`pybuild import`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.epoch import source_date_epoch
from builder.cli.warn import warn
from builder.commands.import_image import ImportRequest, import_image
from builder.image.platform import parse_platform
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("path", metavar="FILE|-")
@click.argument("name", default="", metavar="[NAME[:TAG]]")
@click.option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ...",
)
@click.option("-m", "--message", default="", metavar="TEXT", help="Where the image is from.")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="What it runs on (ours).")
def command(
    path: str, name: str, changes: tuple[str, ...], message: str, platform: str | None
) -> None:
    """Make an image from the tar of a root filesystem, compressed or not; prints its id."""
    request = ImportRequest(
        path=path,
        name=name,
        changes=changes,
        message=message,
        platform=parse_platform(platform) if platform else None,
        epoch=source_date_epoch(os.environ),
    )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        image = import_image(engine, request)
    click.echo(image.image_id)
