"""`--userns`: the words, and the ids that a container's user namespace gets.

`auto` takes ids that no other container has; `keep-id` makes the caller's own id the same inside;
`nomap` leaves the caller's own id out. Ranges are (first inside, first outside, count), where
outside is what pybuild itself sees: as an ordinary user 0 is the caller, 1.. the subordinate ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.runtime.errors import InvalidOptionError
from cache.record import record

Range = tuple[int, int, int]

AUTO_SIZE = 65536
"""As many ids as images use; an ordinary user's containers share one such range."""

_ROOTLESS_AUTO_SIZE = 4096
_MAX_ID = 2**31 - 1
_MODES = "host, auto[:size=N], keep-id[:uid=N,gid=N] and nomap"
_OPTIONS = {"host": (), "auto": ("size",), "keep-id": ("uid", "gid"), "nomap": ()}


@record
class UsernsMode:
    """What `--userns` said."""

    kind: str  # "host", "auto", "keep-id" or "nomap"
    size: int = 0  # of auto; 0: the usual
    uid: int = -1  # of keep-id: -1 for the caller's
    gid: int = -1


@record
class Available:
    """The ids that there are to give."""

    rootless: bool
    uid: int  # the caller's own, on this machine
    gid: int
    free: tuple[tuple[int, int], ...]  # (first, count) outside: of these auto takes its range
    count: int  # rootless: how many ids pybuild itself has


def parse_userns(text: str) -> UsernsMode:
    """The mode. InvalidOptionError for what there is not."""
    kind, _, rest = text.partition(":")
    if kind not in _OPTIONS:
        raise InvalidOptionError(f'--userns "{text}" is not known', hint=f"there are {_MODES}")
    values: dict[str, int] = {}
    for option in filter(None, rest.split(",")):
        name, _, number = option.partition("=")
        if name not in _OPTIONS[kind] or not number.isdecimal() or int(number) > _MAX_ID:
            raise InvalidOptionError(f'--userns "{text}": "{option}" is not known', hint=_MODES)
        values[name] = int(number)
    return UsernsMode(
        kind, size=values.get("size", 0), uid=values.get("uid", -1), gid=values.get("gid", -1)
    )


def ranges_of(
    mode: UsernsMode, available: Available, used: Iterable[Range]
) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """(of users, of groups); `used` are those of the other containers. Empty for `host`.

    InvalidOptionError where this user can't have them.
    """
    if mode.kind == "host":
        return (), ()
    if mode.kind == "auto":
        ranges = (_auto_range(mode, available, used),)
        return ranges, ranges
    if not available.rootless:
        raise InvalidOptionError(
            f"--userns {mode.kind} is for ordinary users, and root runs this command",
            hint="--userns auto gives the container ids of its own",
        )
    if available.count < 2:
        raise InvalidOptionError(
            f"--userns {mode.kind} needs subordinate ids, and there are none",
            hint="give the user a range in /etc/subuid and /etc/subgid; install newuidmap",
        )
    if mode.kind == "nomap":
        ranges = ((0, 1, available.count - 1),)
        return ranges, ranges
    uid = available.uid if mode.uid < 0 else mode.uid
    gid = available.gid if mode.gid < 0 else mode.gid
    return _with_own(uid, available.count), _with_own(gid, available.count)


def _with_own(own: int, count: int) -> tuple[Range, ...]:
    """All ids, the caller's (0 outside) as `own`, the others in order around it."""
    below = min(own, count - 1)
    ranges = [(0, 1, below)] * bool(below) + [(own, 0, 1)]
    above = count - 1 - below
    return (*ranges, *[(own + 1, below + 1, above)] * bool(above))


def _auto_range(mode: UsernsMode, available: Available, used: Iterable[Range]) -> Range:
    size = mode.size or (_ROOTLESS_AUTO_SIZE if available.rootless else AUTO_SIZE)
    taken = sorted((start, start + count) for _, start, count in used)
    for first, count in available.free:
        start = _first_gap(first, first + count, size, taken)
        if start is not None:
            return 0, start, size
    raise InvalidOptionError(
        f"--userns auto: {size} ids that no other container has can't be found",
        hint="remove containers, ask for fewer with auto:size=N, or give more: as root a line "
        "containers:FIRST:COUNT in /etc/subuid and /etc/subgid, else one for the user",
    )


def _first_gap(start: int, end: int, size: int, taken: Sequence[tuple[int, int]]) -> int | None:
    for taken_start, taken_end in taken:
        if start + size <= taken_start:
            break
        start = max(start, taken_end)
    return start if start + size <= end else None
