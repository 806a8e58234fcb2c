"""An instruction's keyword, flags and the rest; and what each flag may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from builder.frontend.goformat import SPACE
from builder.frontend.problems import WordProblemError, did_you_mean
from builder.frontend.words import split_first
from cache.record import record

FlagKind = Literal["text", "texts", "truth"]
"""One value; one value each time it is given; true, false or nothing for true."""


@record
class Command:
    """A logical line, taken apart as far as all instructions have in common."""

    keyword: str  # as written
    flags: tuple[str, ...]  # with their dashes; quotes and escapes removed
    rest: str  # no blanks around it


def split_command(line: str) -> Command:
    """Take a line apart. Flags stand between the keyword and the first other word, or "--"."""
    keyword, rest = split_first(line.strip(SPACE))
    if not rest.startswith("--"):
        return Command(keyword, (), rest)
    flags, rest = _split_flags(rest)
    return Command(keyword, tuple(flags), rest.strip(SPACE))


def _split_flags(text: str) -> tuple[list[str], str]:
    flags: list[str] = []
    pos = 0
    while text.startswith("--", pos):
        flag, pos = _flag_word(text, pos)
        if flag == "--":
            return flags, text[pos:]
        flags.append(flag)
        while pos < len(text) and text[pos] in SPACE:
            pos += 1
    return flags, text[pos:]


def _flag_word(text: str, pos: int) -> tuple[str, int]:
    """The word at `pos` without its quotes, and where it ends. A backslash escapes anywhere."""
    characters: list[str] = []
    quote = ""
    while pos < len(text) and (quote or text[pos] not in SPACE):
        character = text[pos]
        pos += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\":
            characters.append(text[pos : pos + 1])
            pos += 1
        else:
            characters.append(character)
    return "".join(characters), min(pos, len(text))


class FlagValues:
    """The flags of one instruction, checked against the kinds it knows."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """The value, "" where the flag isn't given."""
        return next(iter(self._values.get(name, ())), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """All values, in order."""
        return tuple(self._values.get(name, ()))

    def truth(self, name: str) -> bool | None:
        """True or false; None where the flag isn't given."""
        value = self.text(name)
        return value == "true" if value else None


_NO_FLAGS = FlagValues({})


def read_flags(flags: Sequence[str], kinds: Mapping[str, FlagKind]) -> FlagValues:
    """The values of `flags`; WordProblemError for one that isn't in `kinds` or is given wrongly."""
    if not flags:
        return _NO_FLAGS
    values: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, value = flag.partition("=")
        kind = kinds.get(name[2:])
        if kind is None:
            options = [f"--{known}" for known in kinds]
            raise WordProblemError(
                f"unknown flag: {name}", word=name, hint=did_you_mean(name, options)
            )
        if name[2:] in values and kind != "texts":
            raise WordProblemError(f"duplicate flag specified: {name}", word=flag)
        values.setdefault(name[2:], []).append(_value(name, value, kind, has_value=bool(equals)))
    return FlagValues(values)


def _value(name: str, value: str, kind: FlagKind, *, has_value: bool) -> str:
    if kind != "truth":
        if not has_value:
            raise WordProblemError(
                f"missing a value on flag: {name}", word=name, hint=f"write {name}=VALUE"
            )
        return value
    if not has_value:
        return "true"
    lowered = value.lower()
    if lowered not in {"true", "false"}:
        if not value:
            raise WordProblemError(f"missing a value on flag: {name}", word=name)
        raise WordProblemError(
            f"expecting boolean value for flag {name}, not: {value}", word=f"{name}={value}"
        )
    return lowered
