"""`pybuild rm`."""

from __future__ import annotations

import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.rm import remove_container
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.runtime.errors import UnknownContainerError
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import PybuildError


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-f", "--force", is_flag=True, help="End a container that runs.")
@click.option("-v", "--volumes", is_flag=True, help="Remove the container's own volumes too.")
def command(containers: tuple[str, ...], force: bool, volumes: bool) -> int:
    """Remove containers, by name or id; the names of those removed are printed."""
    status = EXIT_DONE
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        for name in containers:
            try:
                remove_container(engine, name, force=force, volumes=volumes)
            except UnknownContainerError as error:
                failure.report(error)
                status = status if force else EXIT_FAILED  # what is gone is what was asked for
            except PybuildError as error:  # the others are removed nevertheless
                failure.report(error)
                status = EXIT_FAILED
            else:
                click.echo(name)
    return status
