"""`pybuild unpause`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.commands.stop import unpause_container


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
def command(containers: tuple[str, ...]) -> int:
    """Let containers go on that were paused."""
    with store() as engine:
        return for_each(containers, lambda name: unpause_container(engine, name))
