"""What a client asks of one more process in a container; all else is as with its first one."""

from __future__ import annotations

import marshal


class Asked:
    """Places in `stdio` are those in the list of descriptors that travels with it."""

    __slots__ = (
        "args",
        "cwd",
        "env",
        "privileged",
        "stdio",
        "terminal",
        "terminal_size",
        "user",
    )

    def __init__(
        self,
        *,
        args: tuple[str, ...],
        env: tuple[tuple[str, str | None], ...] = (),
        cwd: str = "",
        user: tuple[int, int, tuple[int, ...], str] | None = None,
        privileged: bool = False,
        terminal: bool = False,
        terminal_size: tuple[int, int] = (0, 0),
        stdio: tuple[int, int, int] = (-1, -1, -1),
    ) -> None:
        self.args = args
        self.env = env  # changes: None takes a variable away
        self.cwd = cwd  # "": as the first process's
        self.user = user  # uid, gid, groups, HOME; None: as the first process's
        self.privileged = privileged
        self.terminal = terminal
        self.terminal_size = terminal_size
        self.stdio = stdio  # -1: /dev/null


def encoded(asked: Asked) -> bytes:
    """It as bytes."""
    return marshal.dumps({name: getattr(asked, name) for name in Asked.__slots__})


def decoded(data: bytes) -> Asked:
    """It again."""
    return Asked(**marshal.loads(data))  # noqa: S302 - of the same user, and data only
