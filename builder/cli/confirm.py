"""The question before something is removed for good, and the sum after."""

from __future__ import annotations

import sys
from typing import ClassVar

import click

from builder.cli.units import human_size
from cache.errors import PybuildError


class CancelledError(PybuildError):
    """Whoever was asked did not say yes."""

    code: ClassVar[str] = "cancelled"


def confirm(warning: str, *, what: str) -> None:
    """Ask, as docker does; CancelledError unless the answer is yes. `what` is being cancelled."""
    click.echo(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CancelledError(f"{what} has been cancelled", hint="-f asks nothing")


def echo_deleted(heading: str, names: tuple[str, ...]) -> None:
    """A paragraph of what went; nothing where nothing did."""
    if names:
        click.echo("\n".join((f"{heading}:", *names, "")))


def echo_total(freed_bytes: int) -> None:
    """Docker's last line."""
    click.echo(f"Total reclaimed space: {human_size(freed_bytes, digits=4)}")
