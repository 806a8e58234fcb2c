"""STOPSIGNAL: names of signals on Linux, whatever this machine runs."""

from __future__ import annotations

from builder.frontend.problems import WordProblemError, did_you_mean

_NAMES = frozenset(
    {
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    }
)  # fmt: skip
_REAL_TIME = frozenset({f"RTMIN+{n}" for n in range(1, 16)} | {f"RTMAX-{n}" for n in range(1, 15)})


def check_signal(text: str) -> None:
    """Refuse what is neither a number nor a name, with or without SIG."""
    digits = text.removeprefix("-").removeprefix("+")
    if digits.isascii() and digits.isdecimal():
        is_known = int(digits) != 0
    else:
        is_known = text.upper().removeprefix("SIG") in _NAMES | _REAL_TIME
    if not is_known:
        options = [f"SIG{name}" for name in _NAMES]
        raise WordProblemError(
            f"invalid signal: {text}", word=text, hint=did_you_mean(text, options)
        )
