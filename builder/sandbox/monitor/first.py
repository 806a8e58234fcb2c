"""The container's first process: signals to it, and holding it still with all the others."""

from __future__ import annotations

import os

from builder.kernel.cgroup import ControlGroup
from builder.kernel.process import SIGKILL, send_signal
from builder.sandbox.monitor.freezing import SignalFreezer
from builder.sandbox.monitor.processes import descendants


class FirstProcess:
    """A child of this process, by its pidfd, so that no other is ever meant."""

    def __init__(self, pid: int, pidfd: int, group: ControlGroup) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._group = group
        self._freezer = group if group.can_freeze else SignalFreezer(pid)
        self._frozen_by: set[object] = set()

    def signal(self, number: int) -> None:
        """Nothing happens when it has ended."""
        if self.pidfd >= 0:
            try:
                send_signal(self.pidfd, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End all of them; what is held still is let go, since it cannot die under cgroup v1."""
        self.signal(SIGKILL)
        if self._frozen_by:
            self._frozen_by.clear()
            self._freezer.thaw()

    def freeze(self, who: object) -> None:
        """Hold all processes still, until whoever asked for it has thawed them."""
        self._frozen_by.add(who)
        try:
            self._freezer.freeze()
        except OSError:
            self.thaw(who)
            raise

    def thaw(self, who: object) -> None:
        """Let them go on, unless somebody else holds them still."""
        if who in self._frozen_by:
            self._frozen_by.discard(who)
            if not self._frozen_by:
                self._freezer.thaw()

    def is_frozen_by(self, who: object) -> bool:
        """Whether `who` holds them still."""
        return who in self._frozen_by

    @property
    def is_frozen(self) -> bool:
        return bool(self._frozen_by)

    def processes(self) -> tuple[int, ...]:
        """The pids of all, as the machine counts."""
        return self._group.processes() if self._group else descendants(self.pid)

    def closed(self) -> None:
        """It has ended, and was waited for."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        self._frozen_by.clear()
