"""`pybuild restart`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.each import for_each
from builder.cli.warn import warn
from builder.commands.start import restart_container
from builder.commands.stop import StopRequest
from builder.runtime.policies import parse_stop_timeout
from builder.settings import settings_from
from builder.wiring import open_engine


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
    """Stop containers and start them again."""
    request = StopRequest(
        parse_stop_timeout(timeout, option="--timeout") if timeout else None, signal
    )
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, emit=warn, runs=True) as engine:
        return for_each(containers, lambda name: restart_container(engine, name, request))
