"""Stopping all processes of a pid namespace by signals, where no control group can do it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager

from builder.errors import IsolationError

_TIMEOUT_S = 10.0
_POLL_S = 0.002
_HALTED = frozenset("TtZX")  # stopped, traced, ended


@contextmanager
def stopped(first_pid: int) -> Generator[None]:
    """Hold still every process of `first_pid`'s pid namespace for as long as the block lasts.

    IsolationError where this user may not signal them.
    """
    pids: dict[int, None] = {}
    try:
        _stop_all(first_pid, pids)
        yield
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _stop_all(first_pid: int, pids: dict[int, None]) -> None:
    """Stop until a look finds no new one: a process may fork while the others are stopped."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        found = _members(first_pid)
        for pid in found:
            if pid not in pids:
                pids[pid] = None
                _signal(pid, signal.SIGSTOP)
        if all(_state(pid) in _HALTED for pid in found) and set(_members(first_pid)) <= set(pids):
            return
        if time.monotonic() > deadline:
            raise IsolationError("the container's processes cannot be paused")
        time.sleep(_POLL_S)


def _members(first_pid: int) -> list[int]:
    try:
        namespace = os.readlink(f"/proc/{first_pid}/ns/pid")
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise _denied(error) from error
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_in(name, namespace)]


def _is_in(pid: str, namespace: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == namespace
    except OSError:  # ended, or another user's
        return False


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise _denied(error) from error


def _denied(error: OSError) -> IsolationError:
    return IsolationError(
        f"the container's processes cannot be paused: {error.strerror}",
        hint="stop the container first",
    )
