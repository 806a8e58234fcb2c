"""`pybuild create`: the options of `run`, but for those about the caller's terminal."""

from __future__ import annotations

import os

import click

from builder.cli.run import Value, click_option, line_of
from builder.cli.run_line import OPTIONS
from builder.cli.run_options import RunCommand
from builder.cli.run_request import request_of
from builder.cli.warn import warn
from builder.commands.start import create
from builder.settings import settings_from
from builder.wiring import open_engine

_OF_THE_CALLER = ("detach", "detach-keys", "sig-proxy")


def _callback(image: str, args: tuple[str, ...], **values: Value) -> int:
    request = request_of(line_of(image, args, values))
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        click.echo(create(engine, request))
    return 0


command = RunCommand(
    "create",
    callback=_callback,
    params=[
        *(click_option(option) for option in OPTIONS if option.name not in _OF_THE_CALLER),
        click.Argument(["image"]),
        click.Argument(["args"], nargs=-1, metavar="[COMMAND] [ARG]...", type=click.UNPROCESSED),
    ],
    context_settings={"help_option_names": ["--help"]},
    help="""Make a container that will run COMMAND, and print its id; `pybuild start` starts it.

    The options are those of `pybuild run`, and stand before IMAGE.
    """,
)
