"""From text to logical lines: directives, comments, continuations and bodies of heredocs."""

from __future__ import annotations

import re

from builder.errors import SyntaxProblemError
from builder.frontend.goformat import SPACE
from builder.frontend.heredoc import Heredoc, announced_heredocs
from builder.location import SourceFile, Span
from cache.record import record

_BYTE_ORDER_MARK = "\ufeff"
_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_KNOWN_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_ESCAPES = ("`", "\\")


@record
class Directive:
    """`# name=value` at the top of the file."""

    name: str  # in lower case
    value: str
    span: Span


@record
class LogicalLine:
    """One instruction's text: continued lines joined, the comments between them gone."""

    text: str
    first_line: int
    last_line: int  # bodies of heredocs included
    comments: tuple[str, ...]  # the comment lines right above, without their "#"
    heredocs: tuple[Heredoc, ...]
    empty_lines: tuple[int, ...]  # numbers of the empty lines that it is continued over


@record
class Scan:
    """A whole file."""

    escape: str
    directives: tuple[Directive, ...]
    lines: tuple[LogicalLine, ...]


def scan(source: SourceFile) -> Scan:
    """Divide a text into logical lines; SyntaxProblemError with its span where that can't be."""
    return _Scanner(source).scan()


class _Scanner:
    """Reads the physical lines one after the other."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        lines = source.text.removeprefix(_BYTE_ORDER_MARK).split("\n")
        if not lines[-1]:
            del lines[-1]
        self._lines = lines
        self._index = 0  # of the next line; the number of the one before it, counted from 1
        self._escape = "\\"

    def scan(self) -> Scan:
        directives = self._read_directives()
        lines: list[LogicalLine] = []
        comments: list[str] = []
        while self._index < len(self._lines):
            text = self._lines[self._index].lstrip(SPACE).rstrip("\r")
            if text.startswith("#"):
                comments.append(text[1:].strip(SPACE))
                self._index += 1
            elif not text:
                comments.clear()
                self._index += 1
            else:
                lines += self._read_logical_line(text, tuple(comments))
                comments.clear()
        return Scan(self._escape, directives, tuple(lines))

    def _read_directives(self) -> tuple[Directive, ...]:
        """Directives end at the first line that is none, be it a comment or empty."""
        directives: dict[str, Directive] = {}
        while self._index < len(self._lines):
            text = self._lines[self._index].strip(SPACE)
            match = _DIRECTIVE.match(text[1:].lstrip(SPACE)) if text.startswith("#") else None
            name = match[1].lower() if match else ""
            if match is None or name not in _KNOWN_DIRECTIVES:
                break
            self._index += 1
            span = Span(self._source, self._index, self._index)
            if name in directives:
                raise SyntaxProblemError(f"only one {name} parser directive can be used", span=span)
            directives[name] = Directive(name, match[2], span)
            if name == "escape":
                self._escape = self._checked_escape(directives[name])
        return tuple(directives.values())

    @staticmethod
    def _checked_escape(directive: Directive) -> str:
        if directive.value not in _ESCAPES:
            raise SyntaxProblemError(
                f"invalid escape token '{directive.value}' does not match ` or \\",
                span=directive.span,
            )
        return directive.value

    def _read_logical_line(self, text: str, comments: tuple[str, ...]) -> list[LogicalLine]:
        """The line that begins here, in a list; [] where continuations lead to nothing."""
        self._index += 1
        first_line = self._index
        empty_lines: list[int] = []
        text, is_continued = self._without_continuation(text)
        parts = [text]
        while is_continued and self._index < len(self._lines):
            text = self._lines[self._index].rstrip("\r")
            self._index += 1
            stripped = text.lstrip(SPACE)
            if stripped.startswith("#"):
                continue
            if not stripped:
                empty_lines.append(self._index)
                continue
            text, is_continued = self._without_continuation(text)
            parts.append(text)
        joined = "".join(parts)
        if not joined.strip(SPACE):
            return []
        heredocs = self._read_heredocs(announced_heredocs(joined), first_line)
        return [
            LogicalLine(joined, first_line, self._index, comments, heredocs, tuple(empty_lines))
        ]

    def _without_continuation(self, text: str) -> tuple[str, bool]:
        """`text` without a continuation character at its end, and whether there was one."""
        stripped = text.rstrip(" \t")
        # an escaped escape character is text
        if stripped.endswith(self._escape) and stripped[-2:-1] != self._escape:
            return stripped[:-1], True
        return text, False

    def _read_heredocs(self, announced: list[Heredoc], first_line: int) -> tuple[Heredoc, ...]:
        return tuple(self._read_heredoc(heredoc, first_line) for heredoc in announced)

    def _read_heredoc(self, announced: Heredoc, first_line: int) -> Heredoc:
        start = self._index
        while self._index < len(self._lines):
            line = self._lines[self._index].rstrip("\r")
            self._index += 1
            if announced.strips_tabs:
                line = line.lstrip("\t")
            if line == announced.name:
                body = "".join(f"{text}\n" for text in self._lines[start : self._index - 1])
                return Heredoc(
                    name=announced.name,
                    body=body,
                    expands=announced.expands,
                    strips_tabs=announced.strips_tabs,
                    descriptor=announced.descriptor,
                )
        raise SyntaxProblemError(
            "unterminated heredoc",
            span=Span(self._source, first_line, first_line),
            hint=f'no line is "{announced.name}" and nothing else',
        )
