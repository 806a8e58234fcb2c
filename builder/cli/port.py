"""`pybuild port`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.port import published
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("container", metavar="CONTAINER")
@click.argument("port", default="", metavar="[PORT[/udp]]")
def command(container: str, port: str) -> None:
    """Show where a container's ports can be reached on this machine."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for inside, places in published(engine, container, port):
            for place in places:
                click.echo(place if port else f"{inside} -> {place}")
