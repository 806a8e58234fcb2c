"""`--chmod`: an octal number, or symbolic clauses as chmod(1) and setmode(3) read them."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable

from builder.errors import StepFailedError
from builder.location import Span
from cache.record import record

_CLAUSE = r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)"
_ACTION = r"([-+=])([rwxXstugo]*)"
_ALL = 0o7777
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": _ALL}
_PERMISSIONS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_SHIFTS = {"u": 6, "g": 3, "o": 0}


ModeOf = Callable[[int], int]
"""What `st_mode` says → the permission bits that the copy gets."""


@record
class Action:
    """One `+`, `-` or `=` with what stands after it."""

    operator: str
    who: int  # the bits that may change
    names_sticky: bool  # no who, or `a` in it: the sticky bit may change
    permissions: str


@record
class Chmod:
    """What `--chmod` says. Either `octal` or `actions` counts."""

    octal: int | None
    actions: tuple[Action, ...] = ()

    @property
    def parent_mode(self) -> int:
        """The mode of a directory that COPY makes on the way to its destination."""
        return 0o755 if self.octal is None else self.octal & 0o777

    def apply(self, mode: int, *, is_dir: bool) -> int:
        """The permission bits that a file of permission bits `mode` gets."""
        if self.octal is not None:
            return self.octal
        for action in self.actions:
            mode = _act(action, mode, is_dir=is_dir)
        return mode

    def applier(self) -> ModeOf | None:
        """`apply` for a caller with thousands of files; None where nothing changes."""
        if self.octal is None and not self.actions:
            return None
        known: dict[int, int] = {}

        def mode_of(st_mode: int) -> int:
            found = known.get(st_mode)
            if found is None:
                mode = stat.S_IMODE(st_mode)
                found = known[st_mode] = self.apply(mode, is_dir=stat.S_ISDIR(st_mode))
            return found

        return mode_of


UNCHANGED = Chmod(None)


def parse_chmod(text: str, span: Span | None = None) -> Chmod:
    """What `--chmod=text` means; "" changes nothing. StepFailedError for anything else."""
    if not text:
        return UNCHANGED
    if text[0].isdigit():
        if not re.fullmatch(r"[0-7]+", text, re.ASCII) or int(text, 8) > _ALL:
            raise StepFailedError(
                f"invalid chmod parameter: '{text}'. it should be octal string"
                " and between 0 and 07777",
                span=span,
            )
        return Chmod(int(text, 8))
    actions: list[Action] = []
    for clause in text.split(","):
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            raise StepFailedError(
                f"invalid chmod parameter: '{text}': \"{clause}\" is no symbolic mode",
                span=span,
                hint="write an octal mode such as 0644, or clauses such as u+x,go-w",
            )
        actions.extend(_actions(match.group(1), match.group(2)))
    return Chmod(None, tuple(actions))


def _actions(who: str, text: str) -> list[Action]:
    bits = 0
    for letter in who or "a":
        bits |= _WHO[letter]
    everyone = not who or "a" in who
    return [
        Action(match.group(1), bits, everyone, match.group(2))
        for match in re.finditer(_ACTION, text)
    ]


def _act(action: Action, mode: int, *, is_dir: bool) -> int:
    changed = _bits(action.permissions, mode, is_dir=is_dir) & action.who
    if not action.names_sticky:
        changed &= ~0o1000
    match action.operator:
        case "+":
            return mode | changed
        case "-":
            return mode & ~changed
        case _:
            cleared = action.who if action.names_sticky else action.who & ~0o1000
            return (mode & ~cleared) | changed


def _bits(permissions: str, mode: int, *, is_dir: bool) -> int:
    bits = 0
    for letter in permissions:
        if letter == "X":
            bits |= 0o111 if is_dir or mode & 0o111 else 0
        elif letter in _SHIFTS:
            bits |= ((mode >> _SHIFTS[letter]) & 7) * 0o111
        else:
            bits |= _PERMISSIONS[letter]
    return bits
