"""`pybuild load`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.load import STDIN, LoadedImage, load
from builder.image.platform import parse_platform
from builder.image.reference import familiar_name
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option(
    "-i",
    "--input",
    "path",
    default=STDIN,
    metavar="FILE",
    help="A docker archive, OCI archive or OCI layout's directory (default: stdin).",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Of an image for several platforms (ours)."
)
def command(path: str, quiet: bool, platform: str | None) -> None:
    """Take images from an archive into the store; prints their names."""
    wanted = parse_platform(platform) if platform else None
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        loaded = load(engine, path, platform=wanted)
    if not quiet:
        click.echo("".join(map(_lines, loaded)), nl=False)


def _lines(loaded: LoadedImage) -> str:
    if not loaded.names:
        return f"Loaded image ID: {loaded.image.image_id}\n"
    return "".join(f"Loaded image: {familiar_name(name)}\n" for name in loaded.names)
