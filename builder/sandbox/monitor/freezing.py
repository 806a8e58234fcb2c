"""Holding still all processes of a container that has no control group to do it by."""

from __future__ import annotations

import os
import time

from builder.sandbox.monitor.processes import descendants, run_state

_SIGCONT = 18
_SIGSTOP = 19
_WAIT_S = 2.0
_LOOK_AGAIN_S = 0.001


class SignalFreezer:
    """Stops every process by SIGSTOP.

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
                _send(pid, _SIGSTOP)
            self._stopped += new
            self._await_stop(running)

    def thaw(self) -> None:
        """Let those go on that `freeze` stopped. Idempotent."""
        for pid in reversed(self._stopped):
            _send(pid, _SIGCONT)
        self._stopped.clear()

    def _await_stop(self, pids: list[int]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while any(map(_runs, pids)):
            if time.monotonic() > deadline:
                self.thaw()
                raise TimeoutError(f"process {pids[0]} does not stop")
            time.sleep(_LOOK_AGAIN_S)


def _runs(pid: int) -> bool:
    return run_state(pid) not in {"", "T", "t", "Z", "X"}


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
