"""`pybuild builder prune`."""

from __future__ import annotations

import os
import time

import click

from builder.cli.command import Command
from builder.cli.confirm import confirm, echo_deleted, echo_total
from builder.cli.warn import warn
from builder.commands.prune import CacheRequest, prune_cache
from builder.errors import UsageError
from builder.runtime.moments import parse_moment
from builder.runtime.options import parse_size
from builder.settings import settings_from
from builder.wiring import open_engine


@click.command(cls=Command)
@click.option("-a", "--all", "every", is_flag=True, help="Also records of layers of images.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="until=24h or unused-for=24h: what was not used since.",
)
@click.option(
    "--keep-storage",
    "--max-used-space",
    "keep",
    default="",
    metavar="SIZE",
    help="Leave so much, of what was used last.",
)
def command(every: bool, force: bool, filters: tuple[str, ...], keep: str) -> None:
    """Remove the build cache: its records, layers that only they need, cache mounts, downloads."""
    request = CacheRequest(
        every=every,
        unused_since=_unused_since(filters),
        keep_bytes=parse_size(keep, option="--keep-storage") if keep else None,
    )
    if not force:
        which = "all" if every else "all dangling"
        confirm(f"This will remove {which} build cache.", what="builder prune")
    with open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn) as engine:
        pruned = prune_cache(engine, request)
    echo_deleted("Deleted build cache objects", pruned.names)
    echo_total(pruned.freed_bytes)


def _unused_since(filters: tuple[str, ...]) -> int | None:
    moments: list[float] = []
    for text in filters:
        name, _, value = text.partition("=")
        if name not in {"until", "unused-for"} or not value:
            raise UsageError(
                f'--filter "{text[:100]}" is not known', hint="there are until= and unused-for="
            )
        moments.append(parse_moment(value, now=time.time(), option=f"--filter {name}"))
    return int(min(moments)) if moments else None
