"""`pybuild commit`."""

from __future__ import annotations

import os
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.cli.warn import warn
from builder.commands.commit import CommitRequest, commit
from builder.settings import settings_from
from builder.wiring import open_engine


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    container: str
    reference: str | None
    author: str
    message: str
    changes: tuple[str, ...]
    pause: bool


@click.command(cls=Command)
@click.argument("container")
@click.argument("reference", required=False, metavar="[NAME[:TAG]]")
@click.option("-a", "--author", default="", metavar="TEXT", help="Who made the image.")
@click.option("-m", "--message", default="", metavar="TEXT", help="What was changed.")
@click.option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ...",
)
@click.option(
    "-p",
    "--pause/--no-pause",
    default=True,
    help="Hold the container still meanwhile (the default).",
)
def command(**arguments: Unpack[Arguments]) -> None:
    """Make an image of CONTAINER's changes and print its id."""
    request = CommitRequest(
        container=arguments["container"],
        reference=arguments["reference"] or "",
        author=arguments["author"],
        message=arguments["message"],
        changes=arguments["changes"],
        pause=arguments["pause"],
    )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        click.echo(commit(engine, request).image_id)
