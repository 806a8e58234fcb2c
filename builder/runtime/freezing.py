"""Holding still all processes of a container, so that its files don't change meanwhile."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Protocol

from builder.runtime.liveness import descendants, run_state

_STOP_WAIT_S = 2.0


class Freezer(Protocol):
    """Stops and continues a container."""

    def freeze(self) -> None:
        """Returns when no process of it runs. Idempotent."""
        ...

    def thaw(self) -> None:
        """Let them go on. Idempotent."""
        ...


class SignalFreezer:
    """Stops every process by SIGSTOP: for where there is no cgroup to freeze.

    A process that was stopped already, by job control in the container, stays stopped afterwards.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stopped: list[int] = []

    def freeze(self) -> None:
        """What runs may start more: repeated until a look finds nothing that runs."""
        while running := [pid for pid in descendants(self._pid) if _runs(pid)]:
            new = [pid for pid in running if pid not in self._stopped]
            for pid in new:
                _send(pid, signal.SIGSTOP)
            self._stopped += new
            self._await_stop(running)

    def thaw(self) -> None:
        for pid in reversed(self._stopped):
            _send(pid, signal.SIGCONT)
        self._stopped.clear()

    def _await_stop(self, pids: list[int]) -> None:
        deadline = time.monotonic() + _STOP_WAIT_S
        while any(_runs(pid) for pid in pids):
            if time.monotonic() > deadline:
                self.thaw()
                raise TimeoutError(f"process {pids[0]} does not stop")
            time.sleep(0.001)


def _runs(pid: int) -> bool:
    return run_state(pid) not in {None, "T", "t", "Z", "X"}


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
