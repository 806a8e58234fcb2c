"""Asking before something is removed that does not come back."""

from __future__ import annotations

import sys

import click


def confirmed(warning: str, *, force: bool) -> bool:
    """Whether the user says yes to the warning; nothing but a y is one, as with docker."""
    if force:
        return True
    click.echo(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
