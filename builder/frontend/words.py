"""How an instruction's text falls into words. Nothing is expanded and no quote removed here."""

from __future__ import annotations

import re

from builder.frontend.goformat import SPACE, quoted
from builder.frontend.problems import WordProblemError

_BLANKS = re.compile(r"[\t\v\f\r ]+")


def split_blanks(text: str) -> list[str]:
    """The words between blanks and tabs; quotes mean nothing."""
    return _BLANKS.split(text) if text else []


def split_first(text: str) -> tuple[str, str]:
    """The first word and what follows the blanks after it."""
    first, *rest = _BLANKS.split(text, maxsplit=1)
    return first, rest[0] if rest else ""


def split_quoted(text: str, escape: str) -> list[str]:
    """The words between white space that is neither quoted nor escaped; quotes are kept.

    A quote that never ends takes the rest of the text into its word; expansion refuses it later.
    """
    if "'" not in text and '"' not in text and escape not in text:
        return [word for word in _space_split(text) if word]
    return _QuotedWords(text, escape).words


def _space_split(text: str) -> list[str]:
    if text.isascii():
        return _BLANKS.split(text.replace("\n", " "))
    return "".join(" " if character in SPACE else character for character in text).split(" ")


class _QuotedWords:
    """One reading of a text, character by character."""

    def __init__(self, text: str, escape: str) -> None:
        self.words: list[str] = []
        self._text = text
        self._escape = escape
        self._pos = 0
        while self._skip_space():
            self._read_word()

    def _skip_space(self) -> bool:
        while self._pos < len(self._text) and self._text[self._pos] in SPACE:
            self._pos += 1
        return self._pos < len(self._text)

    def _read_word(self) -> None:
        start = self._pos
        quote = ""
        ends_in_escape = False
        while self._pos < len(self._text):
            character = self._text[self._pos]
            if not quote and character in SPACE:
                break
            self._pos += 1
            if character == self._escape and quote != "'":
                ends_in_escape = self._pos == len(self._text)
                self._pos += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
        # an escape character at the very end has nothing to escape and is dropped
        end = len(self._text) - 1 if ends_in_escape else self._pos
        if word := self._text[start:end]:
            self.words.append(word)


def split_pairs(text: str, escape: str, keyword: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """ENV's and LABEL's pairs, and whether they are in the old form `name value`."""
    words = split_quoted(text, escape)
    if words and "=" not in words[0]:
        name, value = split_first(text)
        if not value:
            raise WordProblemError(
                f"{keyword} must have two arguments",
                word=name,
                hint=f"write {keyword} {name}=value",
            )
        return ((name, value),), True
    return tuple(_pair(word) for word in words), False


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise WordProblemError(
            f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value",
            word=word,
            hint="a value with blanks needs quotes",
        )
    return name, value
