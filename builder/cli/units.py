"""Sizes and times as people read them, in Docker's words."""

from __future__ import annotations

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY_HOURS = 24
_WEEK_HOURS = 7 * _DAY_HOURS
_MONTH_HOURS = 30 * _DAY_HOURS
_YEAR_HOURS = 365 * _DAY_HOURS


def human_size(size_bytes: int, *, digits: int = 3) -> str:
    """So many digits and a decimal unit: docker's lists have three, its sums four.

    >>> human_size(7_801_000), human_size(0), human_size(999_999), human_size(16_432_100, digits=4)
    ('7.8MB', '0B', '1MB', '16.43MB')
    """
    size = float(size_bytes)
    for unit in _SIZE_UNITS[:-1]:
        if size < 999.5:
            return f"{_rounded(size, digits)}{unit}"
        size /= 1000
    return f"{_rounded(size, digits)}{_SIZE_UNITS[-1]}"


def _rounded(size: float, digits: int) -> str:
    text = f"{size:.{digits}g}"
    return text if "e" not in text else f"{size:.0f}"


def human_duration(seconds: float) -> str:
    """About how long.

    >>> human_duration(90), human_duration(3 * 86400)
    ('About a minute', '3 days')
    """
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return _counted(int(seconds), "second")
    minutes = int(seconds // _MINUTE)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    return _human_hours(int(seconds / _HOUR + 0.5), seconds)


def _human_hours(hours: int, seconds: float) -> str:
    if hours < 2 * _DAY_HOURS:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 2 * _WEEK_HOURS:
        return f"{hours // _DAY_HOURS} days"
    if hours < 2 * _MONTH_HOURS:
        return f"{hours // _WEEK_HOURS} weeks"
    if hours < 2 * _YEAR_HOURS:
        return f"{hours // _MONTH_HOURS} months"
    return f"{int(seconds // _HOUR) // _YEAR_HOURS} years"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def ago(moment: float | None, *, now: float) -> str:
    """How long before `now`; "N/A" for an unknown moment."""
    if moment is None:
        return "N/A"
    return f"{human_duration(max(0.0, now - moment))} ago"


def binary_size(size_bytes: int) -> str:
    """Four digits and a unit of 1024's powers, as docker shows memory.

    >>> binary_size(5_902_336), binary_size(0), binary_size(2 << 30)
    ('5.629MiB', '0B', '2GiB')
    """
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.4g}{unit}"
        size /= 1024
    return f"{size:.4g}PiB"
