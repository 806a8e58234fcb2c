"""Matching of long patterns in time that doesn't explode.

Python's `re` tries each way to divide a text among the gaps of a pattern, which takes years for a
dozen of them. Here all places that a pattern's start can reach are carried along together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

PieceKind = Literal["one", "repeated", "directories"]
"""Once; any number of times; `(.*/)?`, nothing or all up to some slash of the same line."""

Piece = tuple[str, PieceKind]
"""A regular expression for at most one character (none for ^ and the like), and how often."""


class _Match(Protocol):
    """re.Pattern.match."""

    def __call__(self, string: str, pos: int) -> re.Match[str] | None: ...


class PieceMatcher:
    """Pieces in order, compiled."""

    def __init__(self, pieces: Sequence[Piece], flags: int) -> None:
        self._pieces = [(re.compile(text, flags).match, kind) for text, kind in pieces]

    def matches(self, text: str) -> bool:
        """Whether the pieces match all of `text`."""
        places = {0}
        for match, kind in self._pieces:
            if kind == "one":
                found = (match(text, place) for place in places)
                places = {one.end() for one in found if one is not None}
            elif kind == "repeated":
                places = set(_after_repeats(text, places, match))
            else:
                places |= set(_after_slashes(text, places))
            if not places:
                return False
        return len(text) in places


def _after_repeats(text: str, places: Iterable[int], match: _Match) -> Iterator[int]:
    reached = -1
    for place in sorted(places):
        if place <= reached:
            continue
        yield place
        reached = place
        while reached < len(text) and match(text, reached) is not None:
            reached += 1
            yield reached


def _after_slashes(text: str, places: Iterable[int]) -> Iterator[int]:
    reached = -1
    for place in sorted(places):
        if place <= reached:
            continue
        line_end = text.find("\n", place)
        reached = len(text) if line_end < 0 else line_end
        slash = text.find("/", place, reached)
        while slash >= 0:
            yield slash + 1
            slash = text.find("/", slash + 1, reached)
