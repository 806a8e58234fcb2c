"""The time as logs and health checks tell it."""

from __future__ import annotations

import time


def rfc3339(time_ns: int) -> str:
    """UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    date = f"{year:04}-{month:02}-{day:02}"
    return f"{date}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z"
