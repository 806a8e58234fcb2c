"""`pybuild volume rm`."""

from __future__ import annotations

import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.volumes import volumes_of
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.runtime.errors import UnknownVolumeError
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import PybuildError


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("-f", "--force", is_flag=True, help="A volume that isn't there is no error.")
def command(names: tuple[str, ...], force: bool) -> int:
    """Remove volumes; the names of those removed are printed."""
    status = EXIT_DONE
    with open_engine(settings_from(os.environ, euid=os.geteuid())) as engine:
        volumes = volumes_of(engine)
        for name in names:
            try:
                volumes.remove(name)
            except PybuildError as error:  # the others are removed nevertheless
                if force and isinstance(error, UnknownVolumeError):
                    continue
                failure.report(error)
                status = EXIT_FAILED
            else:
                click.echo(name)
    return status
