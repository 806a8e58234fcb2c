"""`pybuild top`."""

from __future__ import annotations

import os
from itertools import zip_longest

import click

from builder.cli.command import Command
from builder.commands.top import ProcessTable, top
from builder.settings import settings_from
from builder.wiring import open_engine

_LEAST_WIDTH = 20
_PADDING = 3


class TopCommand(Command):
    """Its options end at the container: what follows is for ps."""

    allow_interspersed_args = False


@click.command(cls=TopCommand, context_settings={"ignore_unknown_options": True})
@click.argument("container", metavar="CONTAINER")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]")
def command(container: str, options: tuple[str, ...]) -> None:
    """Show the processes of a container, as ps(1) shows them; the default is -ef."""
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, mounts=False) as engine:
        found = top(engine, container, options)
    click.echo(_text(found), nl=False)


def _text(found: ProcessTable) -> str:
    """In columns of docker's width."""
    lines = (found.titles, *found.rows)
    columns = zip_longest(*lines, fillvalue="")
    widths = [max(_LEAST_WIDTH, _PADDING + max(map(len, column))) for column in columns]
    return "".join(_line(line, widths) for line in lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return f"{''.join(padded).rstrip()}\n"
