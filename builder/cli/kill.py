"""`pybuild kill`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.commands.stop import kill_container
from builder.runtime.signalnames import signal_number


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-s", "--signal", default="KILL", metavar="SIGNAL", help="Which one (KILL).")
def command(containers: tuple[str, ...], signal: str) -> int:
    """Send the first process of containers a signal."""
    number = signal_number(signal)
    with store() as engine:
        return for_each(containers, lambda name: kill_container(engine, name, number))
