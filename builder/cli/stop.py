"""`pybuild stop`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.commands.stop import StopRequest, stop_container
from builder.runtime.policies import parse_stop_timeout


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-s", "--signal", default="", metavar="SIGNAL", help="Instead of its own.")
@click.option(
    "-t",
    "--timeout",
    "--time",
    "timeout",
    default="",
    metavar="SECONDS",
    help="Until it is killed (its own, or 10); -1: never.",
)
def command(containers: tuple[str, ...], signal: str, timeout: str) -> int:
    """End containers: by the signal that they know, by force when they take too long."""
    request = StopRequest(
        parse_stop_timeout(timeout, option="--timeout") if timeout else None, signal
    )
    with store() as engine:
        return for_each(containers, lambda name: stop_container(engine, name, request))
