"""`pybuild pause`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.commands.stop import pause_container


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
def command(containers: tuple[str, ...]) -> int:
    """Hold all processes of containers still."""
    with store() as engine:
        return for_each(containers, lambda name: pause_container(engine, name))
