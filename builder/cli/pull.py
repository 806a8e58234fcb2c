"""`pybuild pull`."""

from __future__ import annotations

import os
import sys
from typing import Unpack

import click

from builder.cli.command import Command
from builder.cli.registry_options import RegistryOptions, access_of, with_registry_options
from builder.cli.render.choose import renderer_for
from builder.commands.pull import Platforms, PulledImage, pull, pull_layout
from builder.errors import UsageError
from builder.image.platform import parse_platforms
from builder.settings import settings_from
from builder.wiring import open_engine
from builder.worker.image_layout import LAYOUT_SCHEME


@click.command(cls=Command)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option("-a", "--all-tags", is_flag=True, help="Every tag of the repository.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's name alone.")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH[/VARIANT],...",
    help="Of an image for several platforms these (ours).",
)
@click.option("--all-platforms", is_flag=True, help="All that the image is there for.")
@with_registry_options
def command(
    name: str,
    all_tags: bool,
    quiet: bool,
    platforms: tuple[str, ...],
    all_platforms: bool,
    **options: Unpack[RegistryOptions],
) -> None:
    """Get an image from its registry; prints its digest and its whole name.

    oci-layout://DIR[:TAG|@DIGEST] is one of a directory; its id is printed.
    """  # fmt: skip
    if platforms and all_platforms:
        raise UsageError("--all-platforms and --platform exclude each other")
    wanted = Platforms(parse_platforms(platforms), every=all_platforms)
    if name.startswith(LAYOUT_SCHEME):
        _from_layout(name, wanted, quiet=quiet)
        return
    access = access_of(options)
    renderer = renderer_for("quiet" if quiet else "auto", sys.stderr)
    try:
        with open_engine(
            settings_from(os.environ, euid=os.geteuid()), emit=renderer, access=access
        ) as engine:
            found = pull(engine, name, wanted, all_tags=all_tags)
    finally:
        renderer.close()
    click.echo("".join(_lines(one, quiet=quiet) for one in found), nl=False)


def _from_layout(place: str, wanted: Platforms, *, quiet: bool) -> None:
    with open_engine(settings_from(os.environ, euid=os.geteuid())) as engine:
        image, digest = pull_layout(engine, place, wanted)
    click.echo(image.image_id if quiet else f"Digest: {digest}\n{image.image_id}")


def _lines(found: PulledImage, *, quiet: bool) -> str:
    whole = f"{found.reference.normal}\n"
    if quiet:
        return whole
    what = "Downloaded newer image for" if found.pulled.is_new else "Image is up to date for"
    return f"Digest: {found.pulled.digest}\nStatus: {what} {found.reference.familiar}\n{whole}"
