"""`pybuild push`."""

from __future__ import annotations

import os
import sys
from typing import Unpack

import click

from builder.cli.command import Command
from builder.cli.registry_options import RegistryOptions, access_of, with_registry_options
from builder.cli.render.choose import renderer_for
from builder.commands.push import PushRequest, push
from builder.export.api import Compression
from builder.image.platform import parse_platform
from builder.settings import settings_from
from builder.wiring import open_engine


class Arguments(RegistryOptions):
    """The options as click hands them over."""

    all_tags: bool
    quiet: bool
    platform: str | None
    compression: Compression | None
    compression_level: int | None
    force_compression: bool


@click.command(cls=Command)
@click.argument("name", metavar="NAME[:TAG]")
@click.argument("dest", metavar="[DEST]", required=False, default="")
@click.option("-a", "--all-tags", is_flag=True, help="Every tag of the repository.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's name alone.")
@click.option(
    "--platform",
    metavar="OS/ARCH[/VARIANT]",
    help="Of a name for several platforms this one (all).",
)
@click.option(
    "--compression",
    "--compression-format",
    type=click.Choice(["gzip", "zstd", "uncompressed"]),
    help="Of layers made here (gzip).",
)
@click.option("--compression-level", type=click.IntRange(0, 22), help="As the compression has it.")
@click.option(
    "--force-compression", is_flag=True, help="Of layers from elsewhere, too: the digest changes."
)
@with_registry_options
def command(name: str, dest: str, **options: Unpack[Arguments]) -> None:
    """Send an image to the registry that its name says; prints the manifest's digest.

    DEST: to another name instead, or into an OCI layout's directory: oci-layout://DIR[:TAG].
    """  # fmt: skip
    quiet = options["quiet"]
    request = PushRequest(
        name,
        dest=dest,
        all_tags=options["all_tags"],
        platform=parse_platform(options["platform"]) if options["platform"] else None,
        compression=options["compression"],
        compression_level=options["compression_level"],
        force_compression=options["force_compression"],
    )
    access = access_of(options)
    renderer = renderer_for("quiet" if quiet else "auto", sys.stderr)
    try:
        with open_engine(
            settings_from(os.environ, euid=os.geteuid()), emit=renderer, access=access
        ) as engine:
            pushed = push(engine, request)
    finally:
        renderer.close()
    for one in pushed:
        line = one.reference.normal if quiet else f"{one.reference.tag}: digest: {one.digest}"
        click.echo(line)
