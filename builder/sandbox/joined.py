"""Namespaces of other processes, opened so that they are those processes' for sure."""

from __future__ import annotations

import os
from contextlib import ExitStack

from builder.errors import IsolationError
from builder.sandbox.api import JoinedNamespace


def opened(joined: tuple[JoinedNamespace, ...], stack: ExitStack) -> tuple[tuple[str, int], ...]:
    """(kind, descriptor) of each, closed with `stack`. IsolationError where a process is gone."""
    found: list[tuple[str, int]] = []
    for each in joined:
        found.append((each.kind, _opened(each, each.kind, stack)))
        if each.kind == "ipc":  # its shared memory is a mount: /dev/shm there
            found.append(("mnt", _opened(each, "mnt", stack)))
    return tuple(found)


def _opened(each: JoinedNamespace, kind: str, stack: ExitStack) -> int:
    try:
        fd = os.open(f"/proc/{each.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IsolationError(
            f"the {each.kind} namespace of process {each.pid} cannot be joined: {error.strerror}",
            hint="is the container that it belongs to running, and yours?",
        ) from error
    stack.callback(os.close, fd)
    if _started(each.pid) != each.pid_started:  # after the open: now the pid was still its own
        raise IsolationError(f"the process whose {each.kind} namespace was to be joined has ended")
    return fd


def _started(pid: int) -> int:
    """Clock ticks after boot; -1 for none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return int(content[content.rindex(b")") + 2 :].split()[19])
