"""`pybuild volume inspect`."""

from __future__ import annotations

import json
import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.volumes import volumes_of
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.image.assemble import rfc3339
from builder.image.codec import JsonDict
from builder.runtime.errors import UnknownVolumeError
from builder.runtime.volumes_store import Volume
from builder.settings import settings_from
from builder.wiring import open_engine

_MAPS = frozenset({"Labels", "Options"})
_ANONYMOUS = "com.docker.volume.anonymous"


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="A Go template.")
def command(names: tuple[str, ...], template: str) -> int:
    """Show all about volumes as JSON."""
    status = EXIT_DONE
    documents: list[JsonDict] = []
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        volumes = volumes_of(engine)
        for name in names:
            try:
                documents.append(_document(volumes.find(name), volumes.data_dir(name)))
            except UnknownVolumeError as error:
                failure.report(error)
                status = EXIT_FAILED
    click.echo(_text(documents, template), nl=False)
    return status


def _document(volume: Volume, data_dir: str) -> JsonDict:
    labels = dict(volume.labels) | ({_ANONYMOUS: ""} if volume.anonymous else {})
    return {
        "CreatedAt": rfc3339(volume.created),
        "Driver": "local",
        "Labels": labels or None,
        "Mountpoint": data_dir,
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


def _text(documents: list[JsonDict], template: str) -> str:
    if not template:
        return json.dumps(documents, indent=4, ensure_ascii=False) + "\n"
    from builder.cli.gotemplate import format_value
    from builder.cli.gotemplate_values import fields_of

    return "".join(format_value(template, fields_of(document, _MAPS)) for document in documents)
