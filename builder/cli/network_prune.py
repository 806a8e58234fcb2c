"""`pybuild network prune`."""

from __future__ import annotations

import os
import time

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted
from builder.commands.networks import prune_networks
from builder.runtime.prunefilters import parse_prune_filters
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="until, label or label!."
)
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def command(filters: tuple[str, ...], force: bool) -> None:
    """Remove the networks that no container uses."""
    wanted = parse_prune_filters(filters, now=time.time())
    if not force:
        confirm(
            "This will remove all custom networks not used by at least one container.",
            what="network prune",
        )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        echo_deleted("Deleted Networks", prune_networks(engine, wanted))
