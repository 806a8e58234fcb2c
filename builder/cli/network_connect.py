"""`pybuild network connect`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.network_members import connect
from builder.network.addresses import parse_address
from builder.network.model import Membership
from builder.network.names import checked_label
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("network", metavar="NETWORK")
@click.argument("container", metavar="CONTAINER")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="One more name there.")
@click.option("--ip", "address4", default="", metavar="IP", help="The address there.")
@click.option("--ip6", "address6", default="", metavar="IP", help="The IPv6 address there.")
def command(
    network: str, container: str, aliases: tuple[str, ...], address4: str, address6: str
) -> None:
    """Put a container on a network, running or not."""
    member = Membership(
        network,
        str(parse_address(address4, option="--ip", version=4)) if address4 else "",
        str(parse_address(address6, option="--ip6", version=6)) if address6 else "",
        aliases=tuple(checked_label(text, option="--alias") for text in aliases),
    )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        connect(engine, member, container)
