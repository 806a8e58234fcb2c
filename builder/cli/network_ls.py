"""`pybuild network ls`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.table import table
from builder.commands.networks import FILTERS, ListedNetwork, list_networks
from builder.image.assemble import rfc3339
from builder.settings import settings_from
from builder.wiring import open_engine

_HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}


@click.command(cls=Command)
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option("--no-trunc", is_flag=True, help="All 64 digits of an id.")
@click.option(
    *("-f", "--filter", "filters"),
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Those with this alone: {', '.join(FILTERS)}.",
)
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(quiet: bool, no_trunc: bool, filters: tuple[str, ...], template: str) -> None:
    """List networks, by name."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        listed = list_networks(engine, filters)
    width = 64 if no_trunc else 12
    if quiet:
        text = "".join(f"{one.network_id[:width]}\n" for one in listed)
    elif template:
        text = _formatted(listed, template, width)
    else:
        rows = ((one.network_id[:width], one.name, one.driver, "local") for one in listed)
        text = table((("NETWORK ID", "NAME", "DRIVER", "SCOPE"), *rows))
    click.echo(text, nl=False)


def _formatted(listed: tuple[ListedNetwork, ...], template: str, width: int) -> str:
    from builder.cli.gotemplate import format_rows
    from builder.cli.gotemplate_values import Fields

    rows = (Fields(_fields(one, width)) for one in listed)
    return format_rows(template, rows, Fields(_HEADINGS))


def _fields(listed: ListedNetwork, width: int) -> dict[str, str]:
    network = listed.network
    versions = {pool.subnet.version for pool in network.pools} if network else set[int]()
    return {
        "ID": listed.network_id[:width],
        "Name": listed.name,
        "Driver": listed.driver,
        "Scope": "local",
        "IPv4": str(4 in versions).lower(),
        "IPv6": str(6 in versions).lower(),
        "Internal": str(bool(network and network.internal)).lower(),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(listed.labels.items())),
        "CreatedAt": rfc3339(network.created) if network else "",
    }
