"""`pybuild container prune`."""

from __future__ import annotations

import os
import time

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted, echo_total
from builder.cli.warn import warn
from builder.commands.prune import prune_containers
from builder.runtime.prunefilters import parse_prune_filters
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="until, label or label!."
)
def command(force: bool, filters: tuple[str, ...]) -> None:
    """Remove all containers that don't run."""
    wanted = parse_prune_filters(filters, now=time.time())
    if not force:
        confirm("This will remove all stopped containers.", what="container prune")
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        pruned = prune_containers(engine, wanted)
    echo_deleted("Deleted Containers", pruned.container_ids)
    echo_total(pruned.freed_bytes)
