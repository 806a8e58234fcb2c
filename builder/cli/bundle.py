"""`pybuild bundle`: `run`'s options about the process itself, and a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

import click

from builder.cli.command import Command
from builder.cli.run import Value, click_option, line_of
from builder.cli.run_line import OPTIONS
from builder.cli.run_options import RunCommand
from builder.cli.run_options_limits import OPTIONS as LIMITS
from builder.cli.run_options_sec import OPTIONS as SECURITY
from builder.cli.run_request import request_of
from builder.cli.warn import warn
from builder.commands.bundle import BundleRequest, write_bundle
from builder.settings import settings_from
from builder.wiring import open_engine

_PROCESS = (
    "tty env env-file workdir user volume mount tmpfs entrypoint network hostname domainname "
    "add-host dns dns-option dns-search read-only read-only-tmpfs label stop-signal"
)
_NAMES = {*_PROCESS.split(), *(option.name for option in (*SECURITY, *LIMITS))}
"""The options of `run` that say something about a bundle; the others are about its running."""

_FITTING = tuple(option for option in OPTIONS if option.name in _NAMES)
_HINT = "it is for whoever runs the bundle to say"


class BundleCommand(Command):
    """A command whose options end at the image."""

    allow_interspersed_args = False
    refused: ClassVar[Mapping[str, str | None]] = {
        **RunCommand.refused,
        **{name: _HINT for option in OPTIONS if option.name not in _NAMES for name in option.names},
    }


def _callback(image: str, dest: str, args: tuple[str, ...], **values: Value) -> None:
    request = request_of(line_of(image, args, values))
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        write_bundle(engine, BundleRequest(image, dest, request.options))


command = BundleCommand(
    "bundle",
    callback=_callback,
    params=[
        *map(click_option, _FITTING),
        click.Argument(["image"]),
        click.Argument(["dest"], metavar="DIR"),
        click.Argument(["args"], nargs=-1, metavar="[COMMAND] [ARG]...", type=click.UNPROCESSED),
    ],
    context_settings={"help_option_names": ["--help"]},
    help="""Write IMAGE to the new directory DIR as a bundle, for runc, crun or another OCI runtime.

    DIR/config.json says what `run` would do with the same options. The container has a network
    namespace of its own with nothing in it, or with --network host this machine's. An ordinary
    user's bundle is for a runtime that the same user starts. Options stand before IMAGE.
    """,
)
