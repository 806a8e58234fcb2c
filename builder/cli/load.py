"""`pybuild load`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.load import STDIN, LoadedImage, load
from builder.errors import UsageError
from builder.image.platform import parse_platforms
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
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH[/VARIANT],...",
    help="Of an image for several platforms these (ours).",
)
@click.option("--all-platforms", is_flag=True, help="All that the archive has.")
def command(path: str, quiet: bool, platforms: tuple[str, ...], all_platforms: bool) -> None:
    """Take images from an archive into the store; prints their names."""
    if platforms and all_platforms:
        raise UsageError("--all-platforms and --platform exclude each other")
    wanted = parse_platforms(platforms)
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        loaded = load(engine, path, wanted, every=all_platforms)
    if not quiet:
        click.echo("".join(map(_lines, loaded)), nl=False)


def _lines(loaded: LoadedImage) -> str:
    if not loaded.names:
        return "".join(f"Loaded image ID: {image.image_id}\n" for image in loaded.images)
    return "".join(f"Loaded image: {familiar_name(name)}\n" for name in loaded.names)
