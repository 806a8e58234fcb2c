"""`pybuild cp`."""

from __future__ import annotations

import os
import sys

import click

from builder.cli.command import Command, files
from builder.cli.units import human_size
from builder.cli.warn import warn
from builder.commands.cp import STREAM, CopyRequest, copy
from builder.errors import UsageError
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("source", metavar="CONTAINER:PATH|PATH|-", shell_complete=files)
@click.argument("target", metavar="CONTAINER:PATH|PATH|-", shell_complete=files)
@click.option("-a", "--archive", is_flag=True, help="Owners stay, by number.")
@click.option("-L", "--follow-link", "follow", is_flag=True, help="Copy what a link leads to.")
@click.option("-q", "--quiet", is_flag=True, help="Don't say how much was copied.")
def command(source: str, target: str, archive: bool, follow: bool, quiet: bool) -> None:
    """Copy a file or directory between a container, which may run or not, and this machine.

    The first path is copied to the second. One that ends with /. means what is in the directory. A
    directory that is there takes the source under its own name. - is a tar on stdin or stdout.
    """
    if source == STREAM == target:
        raise UsageError("cp: both sides are -")
    if target == STREAM and sys.stdout.isatty():
        raise UsageError("cp: an archive is not written to a terminal", hint="redirect stdout")
    request = CopyRequest(source, target, archive=archive, follow=follow)
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        written_bytes = copy(engine, request, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer)
    if sys.stderr.isatty() and not quiet:
        click.echo(f"Successfully copied {human_size(written_bytes)} to {target}", err=True)
