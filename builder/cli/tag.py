"""`pybuild tag`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.images import tag
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.argument("image")
@click.argument("name", metavar="NAME[:TAG]")
def command(image: str, name: str) -> None:
    """Give IMAGE, a name or id, another name."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        tag(engine, image, name)
