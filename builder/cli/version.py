"""`pybuild version`."""

from __future__ import annotations

import os
import platform

import click

from builder.cli.command import Command
from builder.image.platform import host_platform
from builder.settings import settings_from
from builder.version import VERSION


@click.command(cls=Command)
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="A Go template.")
def command(template: str) -> None:
    """Show the version of pybuild, of what it runs on, and where the store is."""
    if template:
        click.echo(_formatted(template), nl=False)
        return
    width = max(map(len, _versions()))
    for name, text in _versions().items():
        click.echo(f"{name + ':':{width + 2}}{text}")


def _versions() -> dict[str, str]:
    return {
        "pybuild": VERSION,
        "Python": platform.python_version(),
        "Linux": os.uname().release,
        "platform": str(host_platform()),
        "store": settings_from(os.environ, euid=os.geteuid()).root_dir,
    }


def _formatted(template: str) -> str:
    """With the fields that scripts ask docker for: there is no server but this program."""
    from builder.cli.gotemplate import format_value
    from builder.cli.gotemplate_values import fields_of

    host = host_platform()
    side = {
        "Version": VERSION,
        "Os": host.os,
        "Arch": host.architecture,
        "KernelVersion": os.uname().release,
    }
    return format_value(template, fields_of({**side, "Client": side, "Server": side}, frozenset()))
