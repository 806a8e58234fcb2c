"""`pybuild system fsck`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.fsck import fsck
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("--repair", is_flag=True, help="Remove what is damaged: it is made or got again.")
def command(repair: bool) -> int:
    """Check that everything in the store is what it should be; all of it is read.

    The exit status is 1 where something is not.
    """
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        checked = fsck(engine, repair=repair)
    for problem in checked.problems:
        click.echo(f"{problem.what}\n  {problem.remedy}")
    click.echo(
        f"{checked.blobs} blobs, {checked.layers} layers, {checked.images} images, "
        f"{checked.containers} containers: "
        + (f"{len(checked.problems)} problems" if checked.problems else "all as they should be")
    )
    return EXIT_FAILED if checked.problems and not repair else EXIT_DONE
