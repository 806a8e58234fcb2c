"""Warnings of commands that show no progress."""

from __future__ import annotations

import sys

from builder.events import Event, Warned


def warn(event: Event) -> None:
    """An Emit that shows warnings on stderr and nothing else."""
    if isinstance(event, Warned):
        sys.stderr.write(f"WARNING: {event.message}\n")
