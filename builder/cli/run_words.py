"""The words of `run`: what an option is, and a line as it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from cache.record import record


@record
class Option:
    """One option: a switch, one with a value, or one that may stand more than once."""

    names: tuple[str, ...]  # "-e", "--env"
    kind: Literal["switch", "on", "value", "values"]
    metavar: str
    help_text: str

    @property
    def name(self) -> str:
        """By which its value is found: its first long name."""
        return next(name for name in self.names if name.startswith("--"))[2:]


def switch(*names: str, text: str) -> Option:
    """An option without a value."""
    return Option(names, "switch", "", text)


def switched_on(name: str, *, text: str) -> Option:
    """A switch that is on unless `NAME=false` turns it off: then there is a switch `no-NAME`."""
    return Option((name,), "on", "", text)


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


def read(words: Sequence[str], options: Sequence[Option]) -> Line | None:
    """What the words after the command say; None where they are not plain, right or wrong."""
    by_name = {name: option for option in options for name in option.names}
    switches: set[str] = set()
    values: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        pieces = _pieces(rest.pop(0), by_name)
        if pieces is None:
            return None
        for option, attached in pieces:
            if option.kind in {"switch", "on"}:
                if option.kind == "switch":
                    switches.add(option.name)
                continue
            if attached is None and not rest:
                return None
            value = rest.pop(0) if attached is None else attached
            if option.kind == "value":
                values[option.name] = value
            else:
                lists[option.name] = (*lists.get(option.name, ()), value)
    if not rest:
        return None
    return Line(rest[0], tuple(rest[1:]), frozenset(switches), values, lists)


def _pieces(word: str, by_name: Mapping[str, Option]) -> list[tuple[Option, str | None]] | None:
    """The options that a word holds, each with the value in it if there is one."""
    if word.startswith("--"):
        name, separator, value = word.partition("=")
        option = by_name.get(name)
        if option is None or (separator and option.kind in {"switch", "on"}):
            return None
        return [(option, value if separator else None)]
    pieces: list[tuple[Option, str | None]] = []
    for position, letter in enumerate(word[1:], start=1):
        option = by_name.get(f"-{letter}")
        if option is None:
            return None
        if option.kind not in {"switch", "on"}:
            attached = word[position + 1 :]
            if attached.startswith("="):
                return None
            return [*pieces, (option, attached or None)]
        pieces.append((option, None))
    return pieces or None
