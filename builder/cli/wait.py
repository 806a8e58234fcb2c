"""`pybuild wait`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.commands.stop import wait_container


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
def command(containers: tuple[str, ...]) -> int:
    """Wait until containers have ended, and print their exit statuses."""
    with store() as engine:
        return for_each(containers, lambda name: str(wait_container(engine, name)))
