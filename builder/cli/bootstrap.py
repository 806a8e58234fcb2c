"""`pybuild bootstrap`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.bootstrap import DEFAULT_NAME, BootstrapRequest, bootstrap
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("name", default=DEFAULT_NAME, metavar="[NAME[:TAG]]")
@click.option(
    "--with",
    "programs",
    multiple=True,
    metavar="PROGRAM",
    help="One more program, by name or absolute path; a directory's path takes all in it.",
)
def command(name: str, programs: tuple[str, ...]) -> None:
    """Make a base image from this machine's own programs; prints its id.

    It holds a shell, coreutils, grep, sed, awk, find, tar and gzip, what --with names, and the
    libraries that those need. Its name is host-tools unless another is given.
    """
    request = BootstrapRequest(name, programs)
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        image = bootstrap(engine, request)
    click.echo(image.image_id)
