"""`pybuild start`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.each import for_each
from builder.cli.warn import warn
from builder.commands.start import StartRequest, start_container
from builder.errors import EXIT_DONE, UsageError
from builder.runtime.detachkeys import DEFAULT, parse_detach_keys
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-a", "--attach", is_flag=True, help="Show its output, and pass signals on.")
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on, too.")
@click.option(
    "--detach-keys",
    default=DEFAULT,
    metavar="KEYS",
    help=f"What to type to leave it running ({DEFAULT}).",
)
def command(containers: tuple[str, ...], attach: bool, interactive: bool, detach_keys: str) -> int:
    """Start containers that don't run; with -a the exit status is the container's."""
    request = StartRequest(attach, interactive, parse_detach_keys(detach_keys))
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, emit=warn, runs=True) as engine:
        if not (attach or interactive):

            def start(name: str) -> None:
                start_container(engine, name, request)

            return for_each(containers, start)
        only, *others = containers
        if others:
            raise UsageError("start: only one container can be attached to")
        exit_code = start_container(engine, only, request).exit_code
        return EXIT_DONE if exit_code is None else exit_code
