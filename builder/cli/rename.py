"""`pybuild rename`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import store
from builder.commands.rename import rename_container


@click.command(cls=Command)
@click.argument("container")
@click.argument("name", metavar="NEW_NAME")
def command(container: str, name: str) -> None:
    """Give a container another name."""
    with store() as engine:
        rename_container(engine, container, name)
