"""Text as Go's fmt, strconv and time packages write and read it.

BuildKit's history and messages have these forms, and durations and sizes in flags are read by
Go's rules, so each such rule stands here once.
"""

from __future__ import annotations

from collections.abc import Iterable

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What unicode.IsSpace holds for; Python's str.isspace holds for a few more."""

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}
_UNITS_NS = {
    "ns": 1,
    "us": 1000,
    "\u00b5s": 1000,  # micro sign
    "\u03bcs": 1000,  # Greek mu
    "ms": 1000_000,
    "s": 1000_000_000,
    "m": 60 * 1000_000_000,
    "h": 3600 * 1000_000_000,
}
_SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_INT64_LIMIT = 1 << 63
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def quoted(text: str) -> str:
    """strconv.Quote: %q of a string."""
    return f'"{"".join(map(_escaped, text))}"'


def quoted_list(texts: Iterable[str]) -> str:
    """%q of a list of strings: ["a" "b"]."""
    return f"[{' '.join(map(quoted, texts))}]"


def plain_list(texts: Iterable[str]) -> str:
    """%v of a list of strings: [a b]."""
    return f"[{' '.join(texts)}]"


def quoted_rune(number: int) -> str:
    """%q of an integer: the character with that number, in single quotes."""
    if not 0 <= number <= 0x10FFFF:
        number = 0xFFFD
    character = chr(number)
    return "'\\''" if character == "'" else f"'{_escaped(character, quote='')}'"


def _escaped(character: str, quote: str = '"') -> str:
    if character == quote:
        return "\\" + character
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration_ns(text: str) -> int:
    """time.ParseDuration; ValueError with its message."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    total = 0
    while rest:
        amount, rest = _duration_part(text, rest)
        total += amount
    if total >= _INT64_LIMIT:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return sign * total


def _duration_part(text: str, rest: str) -> tuple[int, str]:
    """The first number with its unit, in nanoseconds, and what follows it."""
    digits = len(rest) - len(rest.lstrip("0123456789"))
    whole, rest = rest[:digits], rest[digits:]
    fraction = ""
    if rest.startswith("."):
        digits = len(rest) - 1 - len(rest[1:].lstrip("0123456789"))
        fraction, rest = rest[1 : digits + 1], rest[digits + 1 :]
    if not whole and not fraction:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    unit = _leading_letters(rest)
    if not unit:
        raise ValueError(f"time: missing unit in duration {quoted(text)}")
    if unit not in _UNITS_NS:
        raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
    scale = _UNITS_NS[unit]
    amount = int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    return amount, rest[len(unit) :]


def _leading_letters(text: str) -> str:
    """What stands before the next digit or point."""
    for index, character in enumerate(text):
        if character in "0123456789.":
            return text[:index]
    return text


def duration_text(duration: int) -> str:
    """time.Duration.String of a number of nanoseconds: 1h0m5s, 1.5s, 20ms, 0s."""
    sign, duration = ("-", -duration) if duration < 0 else ("", duration)
    if duration == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("\u00b5s", 1000), ("ms", 1000_000)):
        if duration < scale * 1000:
            return f"{sign}{_decimal(duration, scale)}{unit}"
    minutes, rest = divmod(duration, _UNITS_NS["m"])
    text = f"{_decimal(rest, _UNITS_NS['s'])}s"
    hours, minutes = divmod(minutes, 60)
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(amount: int, scale: int) -> str:
    whole, rest = divmod(amount, scale)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(scale)) - 1).rstrip('0')}"


def size_bytes(text: str) -> int:
    """units.RAMInBytes: 64m, 1.5GiB, 512; ValueError for what is no size."""
    lowered = text.strip().lower()
    number = lowered.rstrip("bikmgtp ")
    unit = lowered[len(number) :].strip().removesuffix("b").removesuffix("i")
    if unit not in _SIZE_UNITS or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"invalid size: '{text}'")
    return int(float(number) * _SIZE_UNITS[unit])


def truth(text: str) -> bool:
    """strconv.ParseBool; ValueError for what is none."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"invalid boolean: {quoted(text)}")
