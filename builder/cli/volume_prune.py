"""`pybuild volume prune`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted, echo_total
from builder.commands.volumes import prune_volumes
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("-a", "--all", "every", is_flag=True, help="Those with a name of the user's too.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="label[!]=K[=V]",
    help="Those with (without) a label alone.",
)
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def command(every: bool, filters: tuple[str, ...], force: bool) -> None:
    """Remove the volumes that no container uses and that have no name of the user's."""
    which = "all local volumes" if every else "anonymous local volumes"
    if not force:
        confirm(
            f"This will remove {which} not used by at least one container.", what="volume prune"
        )
    with open_engine(settings_from(os.environ, euid=os.geteuid())) as engine:
        pruned = prune_volumes(engine, filters, every=every)
    echo_deleted("Deleted Volumes", pruned.names)
    echo_total(pruned.freed_bytes)
