"""`pybuild rmi`."""

from __future__ import annotations

import os

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.commands.rmi import remove_image
from builder.errors import EXIT_DONE, EXIT_FAILED
from builder.image.platform import parse_platform
from builder.image.reference import familiar_name
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import PybuildError


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-f", "--force", is_flag=True, help="Though stopped containers were made from it.")
@click.option(
    "--platform",
    metavar="OS/ARCH[/VARIANT]",
    help="Of names for several platforms only this one's image.",
)
def command(images: tuple[str, ...], force: bool, platform: str | None) -> int:
    """Remove names of images; an image goes with its last name, or when named by its id."""
    status = EXIT_DONE
    wanted = parse_platform(platform) if platform else None
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for text in images:
            try:
                removed = remove_image(engine, text, force=force, platform=wanted)
            except PybuildError as error:  # the others are removed nevertheless
                failure.report(error)
                status = EXIT_FAILED
                continue
            for name in removed.untagged:
                click.echo(f"Untagged: {familiar_name(name)}")
            for image_id in removed.deleted:
                click.echo(f"Deleted: {image_id}")
    return status
