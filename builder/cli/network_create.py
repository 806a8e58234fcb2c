"""`pybuild network create`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.networks import create_network
from builder.network.addresses import parse_address, parse_subnet
from builder.network.manage import NetworkRequest
from builder.runtime.options import parse_pairs
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("name", metavar="NETWORK")
@click.option("-d", "--driver", default="bridge", metavar="DRIVER", help="bridge (the default).")
@click.option("--subnet", "subnets", multiple=True, metavar="SUBNET", help="10.1.2.0/24, or IPv6.")
@click.option("--gateway", "gateways", multiple=True, metavar="IP", help="The bridge's address.")
@click.option(
    "--ip-range", "ip_ranges", multiple=True, metavar="SUBNET", help="Where addresses come from."
)
@click.option("--ipv6", is_flag=True, help="IPv6 as well.")
@click.option("--ipv4/--no-ipv4", default=True, hidden=True, help="IPv4 (the default).")
@click.option("--internal", is_flag=True, help="Nothing outside can be reached.")
@click.option("--attachable", is_flag=True, hidden=True, help="As every network is.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label of the network.")
@click.option(
    *("-o", "--opt", "options"),
    multiple=True,
    metavar="NAME=VALUE",
    help="com.docker.network.driver.mtu, .bridge.name, .bridge.enable_icc, ….",
)
def command(  # noqa: PLR0917 - one an option
    name: str,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ip_ranges: tuple[str, ...],
    ipv6: bool,
    ipv4: bool,
    internal: bool,
    attachable: bool,  # noqa: ARG001 - of Docker's swarms: here all networks are
    labels: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Make a network, whose containers find one another by name; its id is printed."""
    request = NetworkRequest(
        name=name,
        subnets=tuple(parse_subnet(text, option="--subnet") for text in subnets),
        gateways=tuple(parse_address(text, option="--gateway") for text in gateways),
        ip_ranges=tuple(parse_subnet(text, option="--ip-range") for text in ip_ranges),
        ipv6=ipv6,
        ipv4=ipv4,
        internal=internal,
        labels=parse_pairs(labels, option="--label"),
        options=parse_pairs(options, option="--opt"),
    )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        click.echo(create_network(engine, request, driver=driver))
