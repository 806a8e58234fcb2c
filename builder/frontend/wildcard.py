"""The wildcards of COPY and ADD sources: Go's filepath.Match, exactly.

`*` and `?` never match a slash; a class does when it holds one or is negated. `**` has no meaning
of its own here: it is two stars. Patterns where it has one (.dockerignore, --exclude, COPY
--parents) are those of `builder.frontend.pathpattern`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from builder.errors import SourceError
from builder.location import Span

_SPECIAL = frozenset("*?[")


class BadPatternError(SourceError):
    """A pattern with a class that never ends, or a backslash with nothing after it."""

    code: ClassVar[str] = "bad-pattern"

    def __init__(self, pattern: str, *, span: Span | None = None) -> None:
        super().__init__(
            f'syntax error in pattern "{pattern}"',
            span=span,
            hint="close each [ with a ], and write a backslash before a [ that is part of a name",
        )
        self.pattern = pattern


def has_wildcards(pattern: str) -> bool:
    """Whether `*`, `?` or `[` stands anywhere in `pattern` without a backslash before it."""
    position, end = 0, len(pattern)
    while position < end:
        character = pattern[position]
        if character in _SPECIAL:
            return True
        position += 2 if character == "\\" else 1
    return False


def without_escapes(pattern: str) -> str:
    """The one name that a pattern without wildcards matches: its backslashes taken away."""
    if "\\" not in pattern:
        return pattern
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)


class Wildcard:
    """One pattern, checked at once (BadPatternError) and compiled when first asked."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._expression = "".join(_chunk_expressions(pattern))

    @cached_property
    def _match(self) -> re.Pattern[str]:
        return re.compile(self._expression, re.DOTALL)

    @cached_property
    def _components(self) -> tuple[Wildcard, ...] | None:
        """A wildcard for each path component; None where not only a slash matches a slash."""
        if "[" in self.pattern or "\\/" in self.pattern:
            return None
        return tuple(Wildcard(component) for component in self.pattern.split("/"))

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` (slashes included) matches."""
        return self._match.match(name) is not None

    def may_match_below(self, directory: str) -> bool:
        """False only when nothing below `directory` (relative, no trailing slash) can match.

        For walks: a directory for which this is False need not be opened.
        """
        components = self._components
        if components is None or not directory:
            return True
        names = directory.split("/")
        if len(names) >= len(components):
            return False
        return all(one.matches(name) for one, name in zip(components, names, strict=False))


def _chunk_expressions(pattern: str) -> Iterator[str]:
    """The pattern as regular expressions, one for each stretch between stars.

    Go takes the leftmost match of each stretch and never comes back to it: so do the atomic
    groups, which also keeps hostile patterns linear. Only the last stretch looks for the end.
    """
    chunks = list(_chunks(pattern))
    for index, (star, chunk) in enumerate(chunks):
        body = _literals_and_classes(chunk, pattern)
        last = index == len(chunks) - 1
        if star and last:
            yield f"[^/]*{body}"
        elif star:
            yield f"(?>[^/]*?{body})"
        else:
            yield body
    yield r"\Z"


def _chunks(pattern: str) -> Iterator[tuple[bool, str]]:
    """(a star stands before it, text without stars), in order; a star in a class is no star."""
    position, end = 0, len(pattern)
    while position < end:
        start = position
        while position < end and pattern[position] == "*":
            position += 1
        star = position > start
        start, in_class = position, False
        while position < end and (in_class or pattern[position] != "*"):
            match pattern[position]:
                case "\\":
                    position += 1
                case "[":
                    in_class = True
                case "]":
                    in_class = False
                case _:
                    pass
            position += 1
        yield star, pattern[start:position]


def _literals_and_classes(chunk: str, pattern: str) -> str:
    out: list[str] = []
    position, end = 0, len(chunk)
    while position < end:
        character = chunk[position]
        position += 1
        if character == "?":
            out.append("[^/]")
        elif character == "[":
            expression, position = _class(chunk, position, pattern)
            out.append(expression)
        elif character == "\\":
            if position >= end:
                raise BadPatternError(pattern)
            out.append(re.escape(chunk[position]))
            position += 1
        else:
            out.append(re.escape(character))
    return "".join(out)


def _class(chunk: str, position: int, pattern: str) -> tuple[str, int]:
    """The class whose `[` ended before `position`, and where the text goes on after its `]`."""
    negated = chunk.startswith("^", position)
    if negated:
        position += 1
    ranges: list[str] = []
    count = 0
    while not (count and chunk.startswith("]", position)):
        low, position = _class_character(chunk, position, pattern)
        high = low
        if chunk.startswith("-", position):
            high, position = _class_character(chunk, position + 1, pattern)
        if low <= high:  # Go takes [z-a] and lets it match nothing
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        count += 1
    return _class_expression(ranges, negated=negated), position + 1


def _class_expression(ranges: list[str], *, negated: bool) -> str:
    if not ranges:
        return r"[\s\S]" if negated else r"(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"


def _class_character(chunk: str, position: int, pattern: str) -> tuple[str, int]:
    """One character of a class, escaped or not; something must follow it."""
    if chunk.startswith(("-", "]"), position):
        raise BadPatternError(pattern)
    if chunk.startswith("\\", position):
        position += 1
    if position + 1 >= len(chunk):
        raise BadPatternError(pattern)
    return chunk[position], position + 1
