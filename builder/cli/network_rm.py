"""`pybuild network rm`."""

from __future__ import annotations

import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.networks import remove_network
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.network.errors import UnknownNetworkError
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import PybuildError


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@click.option("-f", "--force", is_flag=True, help="A network that isn't there is no error.")
def command(names: tuple[str, ...], force: bool) -> int:
    """Remove networks; the names of those removed are printed."""
    status = EXIT_DONE
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for name in names:
            try:
                remove_network(engine, name)
            except PybuildError as error:  # the others are removed nevertheless
                if force and isinstance(error, UnknownNetworkError):
                    continue
                failure.report(error)
                status = EXIT_FAILED
            else:
                click.echo(name)
    return status
