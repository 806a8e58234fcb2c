"""Columns as Docker lays them out: headings in capitals, at least three blanks, no lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_PADDING = 3
_LEAST_WIDTH = 10
"""Of a column with its padding."""


def table(rows: Iterable[Sequence[str]]) -> str:
    """The rows, headings first, as lines; the last column is not padded."""
    lines = [tuple(row) for row in rows]
    widths = [
        max(_LEAST_WIDTH, _PADDING + max(map(len, column))) for column in zip(*lines, strict=True)
    ]
    return "".join(_line(row, widths) for row in lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
    return "".join((*cells, *row[-1:])) + "\n"


def truncated(text: str, width: int) -> str:
    """At most `width` characters, the last of them an ellipsis where some are missing.

    >>> truncated("RUN make all", 8)
    'RUN mak…'
    """
    return text if len(text) <= width else text[: width - 1] + "…"
