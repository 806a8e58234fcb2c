"""`pybuild network inspect`."""

from __future__ import annotations

import json
import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.networks import find_network, inspect_document
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.image.codec import JsonDict
from builder.network.errors import UnknownNetworkError
from builder.settings import settings_from
from builder.wiring import open_engine

_MAPS = frozenset({"Containers", "Labels", "Options"})


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="A Go template.")
@click.option("-v", "--verbose", is_flag=True, hidden=True, help="Nothing more: no swarms.")
def command(names: tuple[str, ...], template: str, verbose: bool) -> int:  # noqa: ARG001
    """Show all about networks as JSON, and who is on them."""
    status = EXIT_DONE
    documents: list[JsonDict] = []
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for name in names:
            try:
                documents.append(inspect_document(engine, find_network(engine, name)))
            except UnknownNetworkError as error:
                failure.report(error)
                status = EXIT_FAILED
    click.echo(_text(documents, template), nl=False)
    return status


def _text(documents: list[JsonDict], template: str) -> str:
    if not template:
        return json.dumps(documents, indent=4, ensure_ascii=False) + "\n"
    from builder.cli.gotemplate import format_value
    from builder.cli.gotemplate_values import fields_of

    return "".join(format_value(template, fields_of(document, _MAPS)) for document in documents)
