"""`pybuild network disconnect`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.network_members import disconnect
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("network", metavar="NETWORK")
@click.argument("container", metavar="CONTAINER")
@click.option("-f", "--force", is_flag=True, help="Also where the network is gone.")
def command(network: str, container: str, force: bool) -> None:
    """Take a container off a network, running or not."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        disconnect(engine, network, container, force=force)
