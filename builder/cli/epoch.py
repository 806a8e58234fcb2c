"""SOURCE_DATE_EPOCH. Spec: reproducible-builds.org, SOURCE_DATE_EPOCH."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import UsageError


def source_date_epoch(environment: Mapping[str, str]) -> int | None:
    """Seconds since 1970 that no time in an image is later than; None where it isn't set."""
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(
            f'SOURCE_DATE_EPOCH "{text}" is not a number', hint="seconds since 1970-01-01"
        )
    return int(text)
