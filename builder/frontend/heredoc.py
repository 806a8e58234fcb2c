"""Here-documents: which words of a line begin one, and what their bodies are."""

from __future__ import annotations

import re

from builder.frontend.expand import expand_words, shell_words
from builder.frontend.flags import split_command
from builder.frontend.goformat import quoted
from builder.frontend.jsonform import json_words
from builder.frontend.problems import WordProblemError
from cache.record import record

_WORD = r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z"
_LEADING_TABS = r"(?m)^\t+"
_KEYWORDS = frozenset({"add", "copy", "run"})


@record
class Heredoc:
    """One here-document. `body` is as it stands in the file, with the newline of each line."""

    name: str  # the closing word
    body: str = ""
    expands: bool = True  # no part of the word was quoted
    strips_tabs: bool = False  # <<-
    descriptor: int = 0  # 3 for 3<<NAME

    @property
    def content(self) -> str:
        """The body without the tabs that <<- strips."""
        return re.sub(_LEADING_TABS, "", self.body) if self.strips_tabs else self.body

    @property
    def file_name(self) -> str:
        """The name, where a file of that name is to be made of the document."""
        if "/" in self.name or self.name in {".", ".."}:
            raise WordProblemError(
                f"invalid heredoc name {quoted(self.name)}: it cannot name a file", word=self.name
            )
        return self.name

    @property
    def summary(self) -> str:
        """The first line, for people."""
        lines = self.body.strip().splitlines() or [""]
        return lines[0] + "..." if len(lines) > 1 else lines[0]


def read_heredoc_word(word: str) -> Heredoc | None:
    """What `<<NAME`, `<<-NAME` or `3<<"NAME"` announces; None for any other word."""
    match = re.match(_WORD, word) if "<<" in word else None
    if match is None or not match[3]:
        return None
    try:
        names = expand_words(match[3], _Unset())
    except WordProblemError:
        return None
    if len(names) != 1:
        return None
    # a quote that is gone from the name was a quote, one that is left was escaped
    is_quoted = _quotes(match[3]) != _quotes(names[0])
    return Heredoc(
        name=names[0],
        expands=not is_quoted,
        strips_tabs=match[2] == "-",
        descriptor=int(match[1] or "0"),
    )


def announced_heredocs(line: str) -> list[Heredoc]:
    """The here-documents that a logical line announces, in the order of their bodies."""
    if "<<" not in line or not _may_announce(line):
        return []
    heredocs = (read_heredoc_word(word) for word in shell_words(line))
    return [heredoc for heredoc in heredocs if heredoc is not None]


def _may_announce(line: str) -> bool:
    """RUN, COPY and ADD do, except in the JSON form; and ONBUILD with one of them."""
    command = split_command(line)
    if command.keyword.lower() == "onbuild":
        command = split_command(command.rest)
    if command.keyword.lower() not in _KEYWORDS:
        return False
    try:
        return json_words(command.rest) is None
    except WordProblemError:
        return False  # the parser will say what is wrong with it


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


class _Unset(dict[str, str]):
    """Gives each variable as it is written: `<<$NAME` is closed by a line `$NAME`."""

    def get(self, key: str, default: object = None) -> str:
        del default
        return f"${key}"
