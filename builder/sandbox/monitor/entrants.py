"""From what a client asks to the whole of a further process: the rest is the first one's."""

from __future__ import annotations

from builder.kernel.capabilities import NAMES, mask_of
from builder.sandbox.child.request import Request
from builder.sandbox.monitor.asked import Asked

_TERM = "TERM=xterm"


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
