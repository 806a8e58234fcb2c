"""From a problem with a word to an error that points at the word's place."""

from __future__ import annotations

from collections.abc import Iterable

from builder.errors import SourceError, SyntaxProblemError
from builder.location import Span


class WordProblemError(SyntaxProblemError):
    """What is wrong with a word; the caller that knows its instruction adds the place."""

    def __init__(self, message: str, *, word: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.word = word


def word_span(span: Span, word: str) -> Span:
    """The first place of `word` within the lines of `span`; `span` itself where it isn't found."""
    if not word:
        return span
    for number in range(span.first_line, span.last_line + 1):
        column = span.source.line(number).find(word)
        if column >= 0:
            return Span(span.source, number, number, column=column + 1, width=len(word))
    return span


def place(error: SourceError, span: Span) -> None:
    """Give `error` its span where it has none yet."""
    if error.span is None:
        word = error.word if isinstance(error, WordProblemError) else ""
        error.span = word_span(span, word)


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that `word` was probably meant to be."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    by_folded = {option.casefold(): option for option in options}
    matches = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, options: Iterable[str]) -> str | None:
    """A hint that names the nearest option, if any is near."""
    near = nearest(word, options)
    return f"did you mean {near}?" if near else None
