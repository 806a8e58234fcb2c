r"""Entries of a container's log: Docker's `json-file`, one JSON object a line.

{"log":"hello\n","stream":"stdout","attrs":{"k":"v"},"time":"2026-01-31T12:00:00.123456789Z"}
"""

from __future__ import annotations

import json
from typing import Literal, cast

from builder.runtime.moments import nanoseconds
from cache.record import record


@record
class LogEntry:
    """What was written at once to one stream: a line, or a piece of a long one."""

    stream: Literal["stdout", "stderr"]
    text: str
    time_ns: int
    attributes: tuple[tuple[str, str], ...] = ()


def entry_of(line: bytes) -> LogEntry | None:
    """The entry of a line; None where it is damaged: the machine went down while it was written."""
    try:
        document: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    fields = cast("dict[str, object]", document)
    text, stream, moment = fields.get("log"), fields.get("stream"), fields.get("time")
    time_ns = nanoseconds(moment) if isinstance(moment, str) else None
    if not isinstance(text, str) or stream not in ("stdout", "stderr") or time_ns is None:
        return None
    attributes = cast("dict[str, object]", fields.get("attrs") or {})
    return LogEntry(
        "stderr" if stream == "stderr" else "stdout",
        text,
        time_ns,
        tuple((name, str(value)) for name, value in sorted(attributes.items())),
    )
