"""`pybuild image prune`."""

from __future__ import annotations

import os
import time

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted, echo_total
from builder.cli.warn import warn
from builder.commands.prune import PrunedImages, prune_images
from builder.image.reference import familiar_name
from builder.runtime.prunefilters import parse_prune_filters
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("-a", "--all", "every", is_flag=True, help="All that no container was made from.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="until, label or label!."
)
def command(every: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove the images without a tag, and the layers that nothing needs then."""
    wanted = parse_prune_filters(filters, now=time.time())
    if not force:
        which = "images without at least one container associated to them."
        confirm(
            f"This will remove all {which if every else 'dangling images.'}", what="image prune"
        )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        pruned = prune_images(engine, wanted, every=every)
    echo_deleted("Deleted Images", image_lines(pruned))
    echo_total(pruned.freed_bytes)


def image_lines(pruned: PrunedImages) -> tuple[str, ...]:
    """What docker says of each image that went."""
    lines: list[str] = []
    for image in pruned.images:
        lines += [f"untagged: {familiar_name(name)}" for name in image.names]
        lines.append(f"deleted: {image.image_id}")
    return tuple(lines)
