"""Signals by the names and numbers that users write: `KILL`, `SIGHUP`, `9`, `RTMIN+3`. Pure."""

from __future__ import annotations

import signal

from builder.runtime.errors import InvalidOptionError

_HIGHEST = 64


def signal_number(text: str, *, option: str = "--signal") -> int:
    """InvalidOptionError for what is no signal."""
    if text.isascii() and text.isdecimal():
        number = int(text)
        if 0 < number <= _HIGHEST:
            return number
    else:
        name, plus, offset = _parts(text.upper().removeprefix("SIG"))
        known = signal.Signals.__members__.get(f"SIG{name}")
        is_real_time = name in {"RTMIN", "RTMAX"}
        if known is not None and (is_real_time or not plus):
            number = int(known) + offset
            if not is_real_time or signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    raise InvalidOptionError(
        f'{option} "{text[:50]}" is not a signal', hint="for example TERM, SIGHUP or 9"
    )


def _parts(name: str) -> tuple[str, str, int]:
    """`RTMIN+3` as its name, its sign and how far from there; a bad offset is part of the name."""
    for sign, factor in (("+", 1), ("-", -1)):
        base, found, digits = name.partition(sign)
        if found and digits.isascii() and digits.isdecimal():
            return base, found, factor * int(digits)
    return name, "", 0


def stop_signal(text: str) -> int:
    """The signal that asks a container to stop, by its config's StopSignal; TERM where it has none.

    An image may say anything: what is no signal counts as TERM.
    """
    try:
        return signal_number(text) if text else int(signal.SIGTERM)
    except InvalidOptionError:
        return int(signal.SIGTERM)
