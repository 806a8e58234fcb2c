"""`pybuild save`."""

from __future__ import annotations

import os
import sys
from typing import cast

import click

from builder.cli.command import Command
from builder.commands.save import SaveFormat, SaveRequest, save
from builder.errors import UsageError
from builder.export.output import STDOUT
from builder.image.platform import parse_platform
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-o", "--output", "dest", default=STDOUT, metavar="FILE", help="Where to (default: stdout)."
)
@click.option(
    "--format",
    "archive_format",
    default="docker-archive",
    type=click.Choice(["docker-archive", "oci-archive", "oci-dir"]),
    help="What to write (default: docker-archive).",
)
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Of a name for several platforms this one."
)
def command(images: tuple[str, ...], dest: str, archive_format: str, platform: str | None) -> None:
    """Write images, by name or id, to an archive that other tools load.

    Of a name for several platforms an OCI archive gets all, a docker archive this machine's.
    """
    wanted = parse_platform(platform) if platform else None
    if dest == STDOUT and archive_format == "oci-dir":
        raise UsageError("a directory can't go to stdout", hint="name one with -o DIR")
    if dest == STDOUT and sys.stdout.isatty():
        raise UsageError("stdout is a terminal", hint="use -o FILE, or redirect the output")
    request = SaveRequest(images, dest, cast("SaveFormat", archive_format), wanted)
    with open_engine(settings_from(os.environ, euid=os.geteuid())) as engine:
        save(engine, request)
