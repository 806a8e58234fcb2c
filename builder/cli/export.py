"""`pybuild export`."""

from __future__ import annotations

import os
import sys

import click

from builder.cli.command import Command, files
from builder.cli.warn import warn
from builder.commands.cp import export
from builder.errors import UsageError
from builder.export.output import STDOUT, open_output
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("container", metavar="CONTAINER")
@click.option(
    *("-o", "--output", "output"),
    default=STDOUT,
    metavar="FILE",
    help="Write to FILE (default: stdout).",
    shell_complete=files,
)
def command(container: str, output: str) -> None:
    """Write a container's files as one flat tar, which `import` takes; volumes are left out."""
    if output == STDOUT and sys.stdout.isatty():
        raise UsageError("export: an archive is not written to a terminal", hint="use -o FILE")
    with (
        open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine,
        open_output(output) as file,
    ):
        export(engine, container, file)
