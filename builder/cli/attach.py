"""`pybuild attach`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.cli.run_status import status_of
from builder.commands.attach import AttachRequest, attach
from builder.errors import EXIT_DONE
from builder.runtime import detachkeys
from builder.settings import settings_from
from builder.wiring import open_containers


@click.command(cls=Command)
@click.argument("container")
@click.option("--no-stdin", is_flag=True, help="Pass no input on.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the process.")
@click.option("--detach-keys", metavar="KEYS", default=detachkeys.DEFAULT, show_default=True)
def command(container: str, no_stdin: bool, sig_proxy: bool, detach_keys: str) -> int:
    """Tie the terminal to a container that runs; its exit status is this program's.

    The detach keys leave it running.
    """
    try:
        request = AttachRequest(
            container=container,
            stdin=not no_stdin,
            forward_signals=sig_proxy,
            detach_keys=detachkeys.parse_detach_keys(detach_keys),
        )
        with open_containers(settings_from(os.environ, euid=os.geteuid())) as containers:
            status = attach(containers, request)
    except Exception as error:  # noqa: BLE001 - `failure` tells bugs apart
        return status_of(error)
    return EXIT_DONE if status is None else status
