"""The words of `run`: what an option is, and a line as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cache.record import record


@record
class Option:
    """One option: a switch, one with a value, or one that may stand more than once."""

    names: tuple[str, ...]  # "-e", "--env"
    kind: Literal["switch", "value", "values"]
    metavar: str
    help_text: str

    @property
    def name(self) -> str:
        """By which its value is found: its first long name."""
        return next(name for name in self.names if name.startswith("--"))[2:]


def switch(*names: str, text: str) -> Option:
    """An option without a value."""
    return Option(names, "switch", "", text)


def single(*names: str, metavar: str, text: str) -> Option:
    """An option whose last value counts."""
    return Option(names, "value", metavar, text)


def repeated(*names: str, metavar: str, text: str) -> Option:
    """An option all of whose values count."""
    return Option(names, "values", metavar, text)


@record
class Line:
    """A command line as it was read. Options that it doesn't have stand in none of the sets."""

    image: str
    args: tuple[str, ...]
    switches: frozenset[str]
    values: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
