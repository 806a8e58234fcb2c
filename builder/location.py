"""Where something stands in a text: for errors that show the line."""

from __future__ import annotations

from cache.record import record


@record
class SourceFile:
    """A text and the name that users know it by."""

    name: str  # as given: "Dockerfile", "-", "sub/app.Dockerfile"
    text: str

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its end; "" past the last."""
        lines = self.text.split("\n")  # other characters that str.splitlines knows end no line
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@record
class Span:
    """Lines `first_line` to `last_line` of a source, both counted from 1 and included.

    `column` (from 1) and `width` point at a part of the first line where more is known; 0 for the
    whole lines.
    """

    source: SourceFile
    first_line: int
    last_line: int
    column: int = 0
    width: int = 0
