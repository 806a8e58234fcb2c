"""`pybuild system prune`."""

from __future__ import annotations

import os
import time

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted, echo_total
from builder.cli.image_prune import image_lines
from builder.cli.warn import warn
from builder.commands.networks import prune_networks
from builder.commands.prune import CacheRequest, prune_cache, prune_containers, prune_images
from builder.commands.volumes import prune_volumes
from builder.errors import UsageError
from builder.runtime.prunefilters import parse_prune_filters
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("-a", "--all", "every", is_flag=True, help="All images without a container, too.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--volumes", is_flag=True, help="Also volumes that are no container's.")
@click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="until, label or label!."
)
def command(every: bool, force: bool, volumes: bool, filters: tuple[str, ...]) -> None:
    """Remove what nobody needs: stopped containers, networks, images, the build cache."""
    wanted = parse_prune_filters(filters, now=time.time())
    if volumes and wanted.until is not None:
        raise UsageError("--filter until says nothing of volumes", hint="leave out --volumes")
    if not force:
        confirm(_warning(filters, every=every, volumes=volumes), what="system prune")
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        containers = prune_containers(engine, wanted)
        images = prune_images(engine, wanted, every=every)
        freed_bytes = containers.freed_bytes + images.freed_bytes
        echo_deleted("Deleted Containers", containers.container_ids)
        echo_deleted("Deleted Networks", prune_networks(engine, wanted))
        if volumes:
            labelled = [text for text in filters if text.startswith("label")]
            gone = prune_volumes(engine, labelled)
            echo_deleted("Deleted Volumes", gone.names)
            freed_bytes += gone.freed_bytes
        echo_deleted("Deleted Images", image_lines(images))
        if not wanted.labels:  # the build cache has no labels: none of it is meant
            unused_since = None if wanted.until is None else int(wanted.until)
            cache = prune_cache(engine, CacheRequest(every=every, unused_since=unused_since))
            echo_deleted("Deleted build cache objects", cache.names)
            freed_bytes += cache.freed_bytes
    echo_total(freed_bytes)


def _warning(filters: tuple[str, ...], *, every: bool, volumes: bool) -> str:
    lines = [
        "This will remove:",
        "  - all stopped containers",
        "  - all networks not used by at least one container",
        *["  - all anonymous volumes not used by at least one container"] * volumes,
        "  - all images without at least one container associated to them"
        if every
        else "  - all dangling images",
        "  - all build cache" if every else "  - unused build cache",
    ]
    if filters:
        lines += ["", "  Items to be pruned will be filtered with:"]
        lines += [f"  - {text}" for text in filters]
    return "\n".join((*lines, ""))
