"""One command for several containers: an error about one keeps nobody else from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from builder.cli import failure
from builder.cli.warn import warn
from builder.errors import EXIT_BUG, EXIT_DONE, EXIT_FAILED
from builder.settings import settings_from
from builder.wiring import open_engine
from cache.errors import PybuildError

if TYPE_CHECKING:  # it takes time, and a type checker alone needs it
    from builder.engine import Engine


def for_each(names: Iterable[str], act: Callable[[str], str | None]) -> int:
    """Call `act` with each name; print what it gives, or the name; the exit status."""
    status = EXIT_DONE
    for name in names:
        try:
            shown = act(name)
        except (PybuildError, OSError) as error:
            if failure.report(error) == EXIT_BUG:
                return EXIT_BUG
            status = EXIT_FAILED
        else:
            click.echo(name if shown is None else shown)
    return status


def store(*, mounts: bool = False) -> AbstractContextManager[Engine]:
    """The engine over the caller's store; `mounts` where files of containers are removed."""
    return open_engine(settings_from(os.environ, euid=os.geteuid()), emit=warn, mounts=mounts)
