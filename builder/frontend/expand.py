"""Variables, quotes and escapes within a word, as a Dockerfile has them.

`$v`, `${v}`, and with a modifier: `${v:-w}` `${v-w}` `${v:+w}` `${v+w}` `${v:?w}` `${v?w}`
`${v#p}` `${v##p}` `${v%p}` `${v%%p}` `${v/p/r}` `${v//p/r}`. Single quotes keep all as it is,
double quotes let `$` through. What a variable holds is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from builder.frontend.goformat import SPACE, quoted
from builder.frontend.problems import WordProblemError
from builder.frontend.shellpattern import replaced, without_prefix, without_suffix

_DEPTH_LIMIT = 50  # far below what Python's own limit lets through
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")


class VariableUse:
    """Collects which variables an expansion looked at; changed by each one that it is given to."""

    __slots__ = ("undefined", "used")

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.undefined: set[str] = set()  # and without ${v:-default} or the like


def expand_word(
    word: str, values: Mapping[str, str], escape: str = "\\", use: VariableUse | None = None
) -> str:
    """`word` with its variables replaced and its quotes and escapes gone."""
    if _is_plain(word, escape):
        return word
    return "".join(text for text, _ in _read(_Lexer(word, values, escape, use)))


def expand_words(
    word: str, values: Mapping[str, str], escape: str = "\\", use: VariableUse | None = None
) -> list[str]:
    """The words that `word` falls into, where a variable's blanks divide as well as its own."""
    return _divided(_read(_Lexer(word, values, escape, use)))


def expand_document(text: str, values: Mapping[str, str], use: VariableUse | None = None) -> str:
    """A heredoc's body: quotes are text, and the backslash escapes whatever the directive says."""
    if "$" not in text and "\\" not in text:
        return text
    lexer = _Lexer(text, values, "\\", use)
    lexer.reads_quotes = False
    return "".join(piece for piece, _ in _read(lexer))


def shown_text(text: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """For people: known variables replaced, all else as it is, errors included."""
    if "$" not in text:
        return text
    lexer = _keeping_lexer(text, values, escape)
    try:
        return "".join(piece for piece, _ in lexer.read())
    except WordProblemError:
        return text


def shell_words(text: str) -> list[str]:
    """`text` as a shell would divide it, quotes, escapes and variables kept; [] where it can't.

    A word that begins with << takes the blanks after it along.
    """
    try:
        return _divided(_keeping_lexer(text, {}, "\\").read())
    except WordProblemError:
        return []


def _is_plain(word: str, escape: str) -> bool:
    return "$" not in word and escape not in word and "'" not in word and '"' not in word


def _keeping_lexer(text: str, values: Mapping[str, str], escape: str) -> _Lexer:
    lexer = _Lexer(text, values, escape, None)
    lexer.keeps_quotes = lexer.keeps_escapes = lexer.keeps_unset = True
    return lexer


def _read(lexer: _Lexer) -> list[_Piece]:
    try:
        return lexer.read()
    except WordProblemError as error:
        raise WordProblemError(
            f"failed to process {quoted(lexer.text)}: {error.message}", word=lexer.text
        ) from error


_Piece = tuple[str, bool]
"""Some text, and whether blanks in it divide words: they don't in quotes and after an escape."""


@cache
def _specials(more: str) -> re.Pattern[str]:
    """What is not plain text: quotes, $, <, the escape character, the end of a modifier."""
    return re.compile(f"[$'\"<{re.escape(more)}]")


def _divided(pieces: list[_Piece]) -> list[str]:
    words: list[str] = []
    word = ""
    for text, divides in pieces:
        if not divides:
            word += text
            continue
        for character in text:
            if character not in SPACE:
                word += character
            elif word:
                words.append(word)
                word = ""
    return [*words, word] if word else words


class _Lexer:
    """One reading of a text from left to right."""

    __slots__ = (
        "_depth",
        "_escape",
        "_pos",
        "_use",
        "_values",
        "keeps_escapes",
        "keeps_quotes",
        "keeps_unset",
        "reads_quotes",
        "text",
    )

    def __init__(
        self, text: str, values: Mapping[str, str], escape: str, use: VariableUse | None
    ) -> None:
        self.text = text
        self.keeps_quotes = False
        self.keeps_escapes = False
        self.keeps_unset = False
        self.reads_quotes = True
        self._values = values
        self._escape = escape
        self._use = use
        self._pos = 0
        self._depth = 0  # of modifiers within modifiers

    def read(self) -> list[_Piece]:
        """The whole text."""
        return self._read_until("")

    def _peek(self) -> str:
        return self.text[self._pos : self._pos + 1]

    def _next(self) -> str:
        character = self.text[self._pos : self._pos + 1]
        self._pos += 1
        return character

    def _at_end(self) -> bool:
        return self._pos >= len(self.text)

    def _read_until(self, stop: str) -> list[_Piece]:
        """Up to `stop`, which is passed over; up to the end for ""."""
        pieces: list[_Piece] = []
        next_special = _specials(self._escape + stop).search
        while not self._at_end():
            special = next_special(self.text, self._pos)
            end = special.start() if special else len(self.text)
            if end > self._pos:
                pieces.append((self.text[self._pos : end], True))
                self._pos = end
                continue
            character = self._peek()
            if character == stop:
                self._pos += 1
                return pieces
            if character == "$":
                pieces.append((self._variable(), True))
            elif character in "'\"" and self.reads_quotes:
                quote = self._single_quoted if character == "'" else self._double_quoted
                pieces.append((quote(), False))
            elif character == "<":
                pieces.append((self._heredoc_mark(), False))
            elif character == self._escape:
                pieces.append((self._escaped(), False))
            else:
                self._pos += 1
                pieces.append((character, True))
        if stop:
            raise WordProblemError(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def _nested(self, stop: str, *, keeps_escapes: bool) -> str:
        """The word or pattern of a modifier."""
        if self._depth == _DEPTH_LIMIT:
            raise WordProblemError(f"variables are nested more than {_DEPTH_LIMIT} deep")
        self._depth += 1
        before, self.keeps_escapes = self.keeps_escapes, keeps_escapes
        try:
            return "".join(text for text, _ in self._read_until(stop))
        except WordProblemError as error:
            if self._at_end():
                missing = "'}'" if stop == "}" else "'/' in ${}"
                raise WordProblemError(f"syntax error: missing {missing}") from error
            raise
        finally:
            self.keeps_escapes = before
            self._depth -= 1

    def _escaped(self) -> str:
        """The character after an escape character; one at the very end vanishes."""
        escape = self._next() if self.keeps_escapes else self._next()[:0]
        return escape + self._next()

    def _heredoc_mark(self) -> str:
        self._pos += 1
        if self._peek() != "<":
            return "<"
        start = self._pos - 1
        self._pos += 1
        while self._peek() in {" ", "\t", "\r"}:
            self._pos += 1
        return self.text[start : self._pos]

    def _single_quoted(self) -> str:
        end = self.text.find("'", self._pos + 1)
        if end < 0:
            self._pos = len(self.text)
            raise WordProblemError(
                "unexpected end of statement while looking for matching single-quote"
            )
        start, self._pos = self._pos, end + 1
        return self.text[start : end + 1] if self.keeps_quotes else self.text[start + 1 : end]

    def _double_quoted(self) -> str:
        quote = '"' if self.keeps_quotes else ""
        self._pos += 1
        result = [quote]
        while not self._at_end():
            character = self._peek()
            if character == '"':
                self._pos += 1
                return "".join(result) + quote
            result.append(self._variable() if character == "$" else self._quoted_character())
        raise WordProblemError(
            "unexpected end of statement while looking for matching double-quote"
        )

    def _quoted_character(self) -> str:
        """Within double quotes an escape character is one before `"`, `$` and itself only."""
        character = self._next()
        if character != self._escape:
            return character
        following = self._peek()
        if not following:
            return character if self.keeps_escapes else ""
        if following in {'"', "$", self._escape}:
            self._pos += 1
            return character + following if self.keeps_escapes else following
        return character

    def _variable(self) -> str:
        self._pos += 1
        if self._peek() == "{":
            self._pos += 1
            return self._braced()
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        if value is None:
            return f"${name}" if self.keeps_unset else ""
        return value

    def _braced(self) -> str:
        """After `${`."""
        start = self._pos - 2
        following = self._peek()
        if not following:
            raise WordProblemError("syntax error: missing '}'")
        if following in "{}:":
            raise WordProblemError("syntax error: bad substitution")
        name = self._name()
        modifier = self._next()
        if modifier == ":":
            modifier += self._next()
        guards = modifier.lstrip(":") in {"-", "+", "?"}
        value = self._value(name, is_guarded=guards)
        result = self._modified(name, modifier, value)
        return self.text[start : self._pos] if self._stays(value) else result

    def _stays(self, value: str | None) -> bool:
        return value is None and self.keeps_unset

    def _modified(self, name: str, modifier: str, value: str | None) -> str:
        match modifier:
            case "}":
                return value or ""
            case "-" | ":-" | "+" | ":+" | "?" | ":?":
                word = self._nested("}", keeps_escapes=False)
                return "" if self._stays(value) else _guarded(name, modifier, value, word)
            case "#" | "%":
                pattern = self._nested("}", keeps_escapes=True)
                return "" if self._stays(value) else _trimmed(modifier, value or "", pattern)
            case "/":
                return self._replaced(value)
            case "" | ":":
                raise WordProblemError("syntax error: missing '}'")
            case _:
                raise WordProblemError(f"unsupported modifier ({modifier}) in substitution")

    def _replaced(self, value: str | None) -> str:
        is_global = self._peek() == "/"
        self._pos += is_global
        pattern = self._nested("/", keeps_escapes=True)
        replacement = self._nested("}", keeps_escapes=True)
        if self._stays(value):
            return ""
        return replaced(pattern, replacement, value or "", is_global=is_global)

    def _name(self) -> str:
        """Letters, digits and _; digits alone; or one of the shell's special parameters."""
        start = self._pos
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._pos += 1
        elif first in _SPECIAL_PARAMETERS and first:
            self._pos += 1
        else:
            while self._peek().isalpha() or self._peek().isdecimal() or self._peek() == "_":
                self._pos += 1
        return self.text[start : self._pos]

    def _value(self, name: str, *, is_guarded: bool = False) -> str | None:
        value = self._values.get(name)
        if self._use is not None:
            if value is not None:
                self._use.used.add(name)
            elif not is_guarded:
                self._use.undefined.add(name)
        return value


def _guarded(name: str, modifier: str, value: str | None, word: str) -> str:
    is_missing = not value if modifier[0] == ":" else value is None
    kind = modifier[-1]
    if kind == "-":
        return word if is_missing else value or ""
    if kind == "+":
        return "" if is_missing else word
    if is_missing:
        lack = "unset" if value is None else "empty"
        raise WordProblemError(f"{name}: {word or f'is not allowed to be {lack}'}")
    return value or ""


def _trimmed(modifier: str, value: str, pattern: str) -> str:
    is_greedy = pattern.startswith(modifier)
    pattern = pattern[1:] if is_greedy else pattern
    trim = without_prefix if modifier == "#" else without_suffix
    return trim(pattern, value, is_greedy=is_greedy)
