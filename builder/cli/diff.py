"""`pybuild diff`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.diff import container_changes
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("container")
def command(container: str) -> None:
    """Show what CONTAINER changed in its file system: A added, C changed, D deleted."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        for change in container_changes(engine, container):
            click.echo(f"{change.kind} {change.path}")
