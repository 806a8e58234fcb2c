"""`pybuild pin`."""

from __future__ import annotations

import os
from typing import Unpack

import click

from builder.cli.command import Command, files
from builder.cli.registry_options import RegistryOptions, access_of, with_registry_options
from builder.commands.pin import PinnedFile, check_file, pin_file
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("context", default=".", shell_complete=files)
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    shell_complete=files,
    help="Dockerfile (default: CONTEXT/Dockerfile).",
)
@click.option("--check", is_flag=True, help="Change nothing; tell what isn't pinned.")
@with_registry_options
def command(context: str, file: str | None, check: bool, **options: Unpack[RegistryOptions]) -> int:
    """Write digests behind the images that the Dockerfile names, in FROM and in --from.

    The digests are those of the manifests that the store's images came with; for an image that the
    store lacks, its registry is asked. The exit status is 1 where something is left without one.
    """
    if check:
        checked = check_file(context, file)
    else:
        settings = settings_from(os.environ, euid=os.geteuid())
        with open_engine(settings, mounts=False, access=access_of(options)) as engine:
            checked = pin_file(engine, context, file)
    for line in _lines(checked):
        click.echo(line)
    return EXIT_FAILED if checked.result.unpinned else EXIT_DONE


def _lines(pinned: PinnedFile) -> list[str]:
    result = pinned.result
    found = [(pin.span.first_line, f"{pin.name}@{pin.digest}") for pin in result.pins]
    found += [
        (one.span.first_line, f"{one.name} is not pinned: {one.reason}") for one in result.unpinned
    ]
    return [f"{pinned.name}:{number}: {text}" for number, text in sorted(found)]
