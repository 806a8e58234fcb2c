"""What a client asks of one more process in a container; all else is as with its first one."""

from __future__ import annotations

import marshal

from builder.kernel.capabilities import NAMES, mask_of
from builder.sandbox.child.request import Request

_TERM = "TERM=xterm"


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


def request_of(asked: Asked, template: Request, fds: tuple[int, ...]) -> Request:
    """The process, like the one that `template` was for."""
    env = template.env
    if asked.user is not None:
        env = (*env, f"HOME={asked.user[3]}")  # of two with one name the later counts
    if asked.terminal and not any(entry.startswith("TERM=") for entry in env):
        env = (*env, _TERM)
    request = template.changed(
        args=asked.args,
        env=_changed(env, asked.env),
        cwd=asked.cwd or template.cwd,
        terminal=asked.terminal,
        terminal_size=asked.terminal_size,
        stdio_fds=tuple(fds[place] if place >= 0 else -1 for place in asked.stdio),
    )
    if asked.user is not None:
        request.uid, request.gid, request.groups, _ = asked.user
    if asked.privileged:
        request.privileged = True
        request.capabilities = mask_of(NAMES)
        request.seccomp_fd = -1
    return request


def _changed(env: tuple[str, ...], changes: tuple[tuple[str, str | None], ...]) -> tuple[str, ...]:
    taken_away = {name for name, value in changes if value is None}
    kept = (entry for entry in env if entry.partition("=")[0] not in taken_away)
    return (*kept, *(f"{name}={value}" for name, value in changes if value is not None))
