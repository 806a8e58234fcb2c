"""Text of `run`'s options to values. Pure: what the machine has comes in as arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from builder.runtime.errors import InvalidOptionError

EnvEntry = tuple[str, str | None]
"""A variable; None takes it away from what the image sets."""

_SIZE_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_RLIMIT_NAMES = (
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime "
    "sigpending stack"
)


def parse_env(text: str, environment: Mapping[str, str]) -> EnvEntry:
    """`K=V`, or `K` with the caller's value; K without one is taken away."""
    name, separator, value = text.partition("=")
    if not name:
        raise InvalidOptionError(f'"{text[:100]}" has no variable name before the "="')
    return (name, value) if separator else (name, environment.get(name))


def parse_env_file(text: str, environment: Mapping[str, str]) -> tuple[EnvEntry, ...]:
    """The lines of an `--env-file`: K=V or K, nothing is quoted, `#` begins a comment line."""
    entries: list[EnvEntry] = []
    for line in text.removeprefix("\ufeff").splitlines():
        entry = line.lstrip()
        if not entry or entry.startswith("#"):
            continue
        name = entry.partition("=")[0]
        if not name or any(map(str.isspace, name)):
            raise InvalidOptionError(f"the variable name {name[:100]!a} of an env-file has a blank")
        entries.append(parse_env(entry, environment))
    return tuple(entries)


def parse_pairs(entries: Iterable[str], *, option: str) -> tuple[tuple[str, str], ...]:
    """`K=V` or `K`, a later one of the same name wins."""
    pairs: dict[str, str] = {}
    for text in entries:
        name, _, value = text.partition("=")
        if not name:
            raise InvalidOptionError(f'{option} "{text[:100]}" has no name before the "="')
        pairs[name] = value
    return tuple(pairs.items())


def clean_path(path: str) -> str:
    """An absolute path without . and .., and with single slashes: normpath keeps two in front."""
    return os.path.normpath("/" + path.lstrip("/"))


def parse_size(text: str, *, option: str) -> int:
    """`64m`, `1g`, `4096` in bytes."""
    number, unit = text.lower(), "b"
    if number.endswith("b") and len(number) > 1:
        number = number[:-1]
    if number and number[-1] in _SIZE_UNITS:
        number, unit = number[:-1], number[-1]
    try:
        size_bytes = int(float(number) * _SIZE_UNITS[unit])
    except (ValueError, OverflowError) as error:
        raise InvalidOptionError(
            f'{option} "{text}" is not a size', hint="a size is a number and b, k, m or g: 64m"
        ) from error
    if size_bytes <= 0:
        raise InvalidOptionError(f"{option} must be more than nothing")
    return size_bytes


def parse_ulimit(text: str) -> tuple[str, int, int]:
    """`NAME=SOFT[:HARD]`; -1 is no limit."""
    name, _, limits = text.partition("=")
    soft_text, separator, hard_text = limits.partition(":")
    try:
        soft = int(soft_text)
        hard = int(hard_text) if separator else soft
    except ValueError as error:
        raise InvalidOptionError(
            f'--ulimit "{text}" is not NAME=SOFT[:HARD]', hint="for example nofile=1024:2048"
        ) from error
    if name not in _RLIMIT_NAMES.split():
        raise InvalidOptionError(
            f'--ulimit "{text}": there is no limit called "{name}"',
            hint=f"there are {', '.join(_RLIMIT_NAMES.split())}",
        )
    if hard != -1 and (soft > hard or soft == -1):
        raise InvalidOptionError(f'--ulimit "{text}": the soft limit is above the hard one')
    return name, max(soft, -1), max(hard, -1)
