r"""One pattern of a .dockerignore, of --exclude or of COPY --parents, as moby reads it.

`**` matches any number of directories, a pattern without wildcards exactly itself. moby
(patternmatcher) makes a Go regular expression of a pattern character by character, and what
people's contexts hold depends on what comes out of it, oddities included: `*` inside a class ends
that class early, `^` outside one is an anchor, `\d` a digit, a negated class matches a slash. So
the same expression is made here, then said in Python's dialect.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Literal, assert_never

from builder.frontend.backtrackless import Piece, PieceMatcher
from builder.frontend.wildcard import BadPatternError, Wildcard

_SPECIAL = re.compile(r"[*?\[\]^\\]")
_NOT_LITERAL = re.compile(r"\*\*/?|[*?\]^]|\\.?")
_GAP_LIMIT = 3  # beyond it, `re` may take far longer than a matcher that doesn't backtrack
_META = frozenset(".+()|{}$")
_PERL_CLASSES = frozenset("dDsSwW")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASSERTIONS = {"A": r"\A", "z": r"\Z", "b": r"\b", "B": r"\B"}
_POSIX_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


Kind = Literal["exact", "prefix", "suffix", "expression"]
"""How a pattern is compared: all of it, text**, **text, or by a regular expression."""


def clean_path(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


class PathPattern:
    """A cleaned pattern over slash-separated relative paths: checked when made, compiled late."""

    def __init__(self, text: str) -> None:
        self.text = text
        Wildcard(text)  # moby asks filepath.Match whether the pattern is well-formed
        kind, expression = _go_expression(text)
        self.kind: Kind = kind
        self._pieces = list(_pieces(expression, text)) if kind == "expression" else []

    @cached_property
    def matches(self) -> Callable[[str], bool]:
        """Whether a whole path matches; its parent directories are the caller's to ask about."""
        text = self.text
        match self.kind:
            case "exact":
                return text.__eq__
            case "prefix":
                prefix = text[:-2]
                return lambda path: path.startswith(prefix)
            case "suffix":
                suffix = text[2:]
                whole = suffix[1:] if suffix.startswith("/") else None
                return lambda path: path.endswith(suffix) or path == whole
            case "expression":
                return _after_a_glance(self.literal_runs, _matcher(self._pieces))
            case _:
                assert_never(self.kind)

    @cached_property
    def literal_head(self) -> str:
        """The directory below which every match lies; "" for the root."""
        special = _SPECIAL.search(self.text)
        before = self.text if special is None else self.text[: special.start()]
        return before.rpartition("/")[0]

    @cached_property
    def literal_tail(self) -> str:
        """Text without wildcards that the last component of every match ends with; may be ""."""
        start = 0
        for special in _SPECIAL.finditer(self.text):
            start = special.end() + (special.group() == "\\")
        return self.text[start:].rpartition("/")[2]

    @cached_property
    def literal_runs(self) -> tuple[str, ...]:
        """Texts that every match holds somewhere."""
        before, _, rest = self.text.partition("[")
        after = rest.rpartition("]")[2]
        return tuple(run for run in _NOT_LITERAL.split(f"{before}*{after}") if run)

    @cached_property
    def last_component(self) -> str | None:
        """The pattern of the last component of every match; None where there is no such part."""
        before, slash, component = self.text.rpartition("/")
        if "**" in component or "[" in before or before.endswith("\\"):
            return None
        if slash and before.endswith("**") and before != "**" and before[-3] != "/":
            return None  # a**/b matches "ab" as well
        return component

    @cached_property
    def depth(self) -> int:
        """The number of components of every match; 0 where matches of several depths exist."""
        if "**" in self.text or "[" in self.text or "\\" in self.text:
            return 0
        return self.text.count("/") + 1

    def may_match_below(self, directory: str) -> bool:
        """False only when no path below `directory` can match."""
        if self.depth and directory.count("/") + 1 >= self.depth:
            return False
        below = directory + "/"
        if self.kind == "exact":
            return self.text.startswith(below)
        head = self.literal_head
        return not head or f"{head}/".startswith(below) or below.startswith(f"{head}/")


def _go_expression(pattern: str) -> tuple[Kind, str]:
    """How moby would compare `pattern`, and its regular expression in Go's syntax."""
    out: list[str] = []
    kind: Kind = "exact"
    position, end = 0, len(pattern)
    while position < end:
        start = position
        character = pattern[position]
        position += 1
        if pattern.startswith("**", start):
            position = start + (3 if pattern.startswith("/", start + 2) else 2)
            if position < end:
                out.append("(.*/)?")
                kind = "expression"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(".*")
                kind = "expression"
            if start == 0:
                kind = "suffix"
            continue
        if character == "\\":
            out.append(pattern[start : start + 2])
            position = start + 2
        else:
            out.append(_GO_CHARACTERS.get(character, character))
        if character in "*?\\[]":
            kind = "expression"
    return kind, "".join(out)


_GO_CHARACTERS = {"*": "[^/]*", "?": "[^/]"} | {one: f"\\{one}" for one in _META}


def _pieces(expression: str, pattern: str) -> Iterator[Piece]:
    """The same expression in Python's syntax (with re.ASCII), piece by piece."""
    position, end = 0, len(expression)
    while position < end:
        if expression.startswith("(.*/)?", position):
            yield "(?:.*/)?", "directories"
            position += 6
            continue
        text, position = _piece(expression, position, pattern)
        repeated = expression.startswith("*", position)
        yield text, "repeated" if repeated else "one"
        position += repeated


def _piece(expression: str, position: int, pattern: str) -> tuple[str, int]:
    """One character's expression and where the next piece begins."""
    character = expression[position]
    position += 1
    if character == "[":
        return _python_class(expression, position, pattern)
    if character == "\\":
        return _escape_outside(expression[position : position + 1], pattern), position + 1
    if character in ".^":
        return character, position
    return re.escape(character), position


def _after_a_glance(runs: Sequence[str], matches: Callable[[str], bool]) -> Callable[[str], bool]:
    """`matches`, asked only about paths that hold all of `runs`: looking for those is cheap."""
    if not runs:
        return matches

    def looks_first(path: str) -> bool:
        for run in runs:
            if run not in path:
                return False
        return matches(path)

    return looks_first


def _matcher(pieces: Sequence[Piece]) -> Callable[[str], bool]:
    gaps = sum(kind != "one" for _, kind in pieces)
    if gaps > _GAP_LIMIT:
        return PieceMatcher(pieces, re.ASCII).matches
    text = "".join(f"{text}*" if kind == "repeated" else text for text, kind in pieces)
    match = re.compile(rf"{text}\Z", re.ASCII).match
    return lambda path: match(path) is not None


def _python_class(expression: str, position: int, pattern: str) -> tuple[str, int]:
    """The class whose `[` ended before `position`, and where the expression goes on after it."""
    out = ["["]
    if expression.startswith("^", position):
        out.append("^")
        position += 1
    first = True
    while first or not expression.startswith("]", position):
        first = False
        posix = re.compile(r"\[:(.*?):\]").match(expression, position)
        if posix is not None:
            out.append(_posix_class(posix.group(1), pattern))
            position = posix.end()
            continue
        perl = expression[position + 1 : position + 2]
        if expression.startswith("\\", position) and perl in _PERL_CLASSES:
            out.append(f"\\{perl}")
            position += 2
            continue
        low, position = _class_character(expression, position, pattern)
        high = low
        if expression.startswith("-", position) and not expression.startswith("-]", position):
            high, position = _class_character(expression, position + 1, pattern)
        if low > high:
            raise BadPatternError(pattern)
        out.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"{''.join(out)}]", position + 1


def _class_character(expression: str, position: int, pattern: str) -> tuple[str, int]:
    character = expression[position : position + 1]
    if not character:
        raise BadPatternError(pattern)
    if character == "\\":
        return _escaped(expression[position + 1 : position + 2], pattern), position + 2
    return character, position + 1


def _escape_outside(character: str, pattern: str) -> str:
    if character in _PERL_CLASSES:
        return f"\\{character}"
    if character in _ASSERTIONS:
        return _ASSERTIONS[character]
    return re.escape(_escaped(character, pattern))


def _escaped(character: str, pattern: str) -> str:
    """What a backslash and `character` stand for: punctuation itself, or a control character."""
    if character in _CONTROLS:
        return _CONTROLS[character]
    if not character or character.isalnum() or not character.isascii():
        raise BadPatternError(pattern)  # no escape of Go's, or one that no file name needs
    return character


def _posix_class(name: str, pattern: str) -> str:
    if name not in _POSIX_CLASSES:
        raise BadPatternError(pattern)
    return _POSIX_CLASSES[name]
