"""The keys that take a terminal away from a container: ctrl-p,ctrl-q unless others are chosen."""

from __future__ import annotations

from builder.runtime.errors import InvalidOptionError

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL_SIGNS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """The bytes that the keys give, `a,ctrl-b` for example; "" for none.

    InvalidOptionError for what is neither a character nor ctrl- and a letter or a sign.
    """
    return bytes(map(_key, text.split(","))) if text else b""


def _key(text: str) -> int:
    if len(text) == 1 and text.isascii():
        return ord(text)
    name = text.removeprefix("ctrl-")
    if name != text and len(name) == 1:
        if "a" <= name <= "z":
            return ord(name) - ord("a") + 1
        if name in _CONTROL_SIGNS:
            return _CONTROL_SIGNS[name]
    raise InvalidOptionError(
        f"--detach-keys: {text[:40]!a} is no key",
        hint="keys are single characters or ctrl-X, with commas between: ctrl-p,ctrl-q",
    )


class DetachScanner:
    """Finds the keys in what is typed; the beginning of them is held back until it is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What goes on to the container, and whether the keys are complete."""
        if not self._keys:
            return typed, False
        passed = bytearray()
        for byte in typed:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            held, self._matched = self._keys[: self._matched], 0
            if held and byte == self._keys[0]:
                passed += held
                self._matched = 1
            else:
                passed += held + bytes((byte,))
        return bytes(passed), False
