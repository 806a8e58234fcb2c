"""`pybuild volume create`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.volumes import create_volume
from builder.errors import UsageError
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("argument", default="", metavar="[VOLUME]")
@click.option("--name", default="", metavar="NAME", hidden=True, help="As the argument.")
@click.option("-d", "--driver", default="local", metavar="DRIVER", help="local (the default).")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label of the volume.")
@click.option(
    *("-o", "--opt", "options"),
    multiple=True,
    metavar="NAME=VALUE",
    help="type=none, o=bind, device=DIR: a directory of this machine by a volume's name.",
)
def command(
    argument: str, name: str, driver: str, labels: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """Make a volume, or find the one of that name; its name is printed."""
    if argument and name and argument != name:
        raise UsageError("volume create: the name is given twice, and not the same")
    with open_engine(settings_from(os.environ, euid=os.geteuid())) as engine:
        made = create_volume(
            engine, argument or name, labels=labels, driver=driver, options=options
        )
    click.echo(made)
