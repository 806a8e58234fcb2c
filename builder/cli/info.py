"""`pybuild info`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

import click

from builder.cli.command import Command
from builder.commands.info import system_info
from builder.image.codec import JsonDict
from builder.settings import settings_from
from builder.wiring import open_engine

_MAPS = frozenset({"Runtimes", "Tools"})


@click.command(cls=Command)
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="A Go template.")
def command(template: str) -> None:
    """Show what there is: containers, images, the store, the kernel's features, tools."""
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        document = system_info(engine)
    if template:
        from builder.cli.gotemplate import format_value
        from builder.cli.gotemplate_values import fields_of

        click.echo(format_value(template, fields_of(document, _MAPS)), nl=False)
        return
    click.echo("\n".join(_lines(document)))
    for warning in cast("list[str]", document["Warnings"]):
        click.echo(warning, err=True)


def _lines(document: JsonDict) -> Iterator[str]:
    yield f"Containers: {document['Containers']}"
    for name in ("Running", "Paused", "Stopped"):
        yield f" {name}: {document[f'Containers{name}']}"
    yield f"Images: {document['Images']}"
    yield f"Server Version: {document['ServerVersion']}"
    yield f"Storage Driver: {document['Driver']}"
    for name, value in cast("list[tuple[str, str]]", document["DriverStatus"]):
        yield f" {name}: {value}"
    yield f"Logging Driver: {document['LoggingDriver']}"
    yield f"Cgroup Driver: {document['CgroupDriver']}"
    yield f"Cgroup Version: {document['CgroupVersion']}"
    yield f" Controllers: {' '.join(cast('list[str]', document['CgroupControllers']))}"
    yield f"Runtimes: {' '.join(cast('JsonDict', document['Runtimes']))}"
    yield f"Default Runtime: {document['DefaultRuntime']}"
    yield "Security Options:"
    yield from _security_lines(cast("list[str]", document["SecurityOptions"]))
    yield f"Kernel Version: {document['KernelVersion']}"
    yield f"Operating System: {document['OperatingSystem']}"
    yield f"OSType: {document['OSType']}"
    yield f"Architecture: {document['Architecture']}"
    yield f"CPUs: {document['NCPU']}"
    yield f"Total Memory: {_binary_size(cast('int', document['MemTotal']))}"
    yield f"Name: {document['Name']}"
    yield f"Root Dir: {document['DockerRootDir']}"
    yield from _id_lines(cast("list[JsonDict]", document["SubordinateIds"]))
    yield "Tools:"
    for name, path in cast("dict[str, str]", document["Tools"]).items():
        yield f" {name}: {path or 'not found'}"


def _security_lines(options: list[str]) -> Iterator[str]:
    """`name=seccomp,profile=builtin` as docker shows it."""
    for option in options:
        pairs = [part.partition("=") for part in option.split(",")]
        yield f" {pairs[0][2]}"
        for name, _, value in pairs[1:]:
            yield f"  {name.capitalize()}: {value}"


def _id_lines(ranges: list[JsonDict]) -> Iterator[str]:
    if ranges:
        yield "Subordinate Ids:"
    for one in ranges:
        yield f" {one['Kind']}: {one['Count']} from {one['First']}"


def _binary_size(size_bytes: int) -> str:
    """Docker's one size in binary units."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(max(size_bytes.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size_bytes / 1024**power:.4g}{units[power]}"
