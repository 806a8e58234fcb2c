"""Moments as users write them in `--since`, `--until` and filters, and RFC 3339 with nanoseconds.

Docker takes a date, a number of seconds since 1970, and a duration, which is that long ago.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from builder.runtime.errors import InvalidOptionError

_SECOND_NS = 1_000_000_000
_MOST_DIGITS = 30
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def parse_moment(text: str, *, now: float, option: str) -> float:
    """Seconds since the epoch. A date without a zone is local time."""
    return parse_moment_ns(text, now_ns=int(now * _SECOND_NS), option=option) / _SECOND_NS


def parse_moment_ns(text: str, *, now_ns: int, option: str) -> int:
    """Nanoseconds since the epoch, as exact as the text is."""
    for read in (_number, _date, _ago):
        moment = read(text, now_ns)
        if moment is not None:
            return moment
    raise InvalidOptionError(
        f'{option} "{text[:100]}" is not a moment',
        hint="for example 10m, 2026-01-31T12:00:00Z or a number of seconds since 1970",
    )


def _number(text: str, _now_ns: int) -> int | None:
    whole, _, fraction = text.partition(".")
    digits = whole.removeprefix("-") + (fraction or "0")
    if not (whole.removeprefix("-") and digits.isascii() and digits.isdecimal()):
        return None
    if len(digits) > _MOST_DIGITS:
        return None
    part_ns = int(fraction[:9].ljust(9, "0")) if fraction else 0
    return int(whole) * _SECOND_NS + (-part_ns if whole.startswith("-") else part_ns)


def _ago(text: str, now_ns: int) -> int | None:
    from builder.frontend.goformat import duration_ns  # noqa: PLC0415 - few moments are durations

    try:
        return now_ns - duration_ns(text)
    except ValueError:
        return None


def _date(text: str, _now_ns: int) -> int | None:
    """RFC 3339, also cut short, also without a zone."""
    if len(text) < 8 or text[4:5] != "-":
        return None
    moment_ns = nanoseconds(text)
    if moment_ns is not None:
        return moment_ns
    for form in _FORMS:
        try:
            moment = time.mktime(time.strptime(text.partition(".")[0], form))
        except (ValueError, OverflowError):
            continue
        return int(moment) * _SECOND_NS
    return None


def nanoseconds(text: str) -> int | None:
    """An RFC 3339 time with a zone in nanoseconds since the epoch; None for anything else."""
    body, zone = (text[:-1], "+00:00") if text[-1:] in {"Z", "z"} else (text[:-6], text[-6:])
    whole, point, fraction = body.partition(".")
    if point and not (fraction.isascii() and fraction.isdecimal()):
        return None
    if len(whole) != 19 or zone[:1] not in {"+", "-"}:
        return None
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def rfc3339_nano(moment_ns: int) -> str:
    """As docker writes the time of a log line: always nine digits, UTC."""
    seconds, fraction = divmod(moment_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"
