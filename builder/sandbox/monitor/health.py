"""Health checks: a command that is run in the container now and then. Docker's rules.

The result stands in the container's health.json, in the form that docker's inspect shows it:

    {"Status": "starting", "FailingStreak": 0,
     "Log": [{"Start": TIME, "End": TIME, "ExitCode": 0, "Output": TEXT}, ...]}

with the last five checks, the oldest first.
"""

from __future__ import annotations

import _socket
import os
import time

from builder.kernel.process import SIGKILL, send_signal
from builder.sandbox.child import wire
from builder.sandbox.monitor.asked import Asked
from builder.sandbox.monitor.clock import rfc3339
from builder.sandbox.monitor.pump import Source
from builder.sandbox.monitor.statefile import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.sandbox.monitor.execs import Execs
    from builder.sandbox.monitor.loop import Loop, Timer
    from builder.sandbox.monitor.statefile import Json

FILE_NAME = "health.json"
_KEPT = 5
_MAX_OUTPUT_BYTES = 4096
_NOT_RUN = -1  # the exit code of a check that could not be run, or took too long

Schedule = tuple[tuple[str, ...], float, float, float, float, int]
"""args, interval_s, timeout_s, start_period_s, start_interval_s, retries."""


class HealthStatus:
    """What the results mean together."""

    def __init__(self, *, start_period_s: float, retries: int) -> None:
        self.status = "starting"
        self.failing_streak = 0
        self._start_period_s = start_period_s
        self._retries = retries

    def is_starting(self, age_s: float) -> bool:
        """Whether failures don't count yet, `age_s` after the container's start."""
        return self.status == "starting" and age_s < self._start_period_s

    def take(self, exit_code: int, age_s: float) -> bool:
        """The result of one more check; whether the status has changed."""
        before = self.status
        if exit_code == 0:
            self.status, self.failing_streak = "healthy", 0
        elif not self.is_starting(age_s):
            self.failing_streak += 1
            if self.failing_streak >= self._retries:
                self.status = "unhealthy"
        return self.status != before


class Health:
    """Runs the checks of one container, one at a time."""

    def __init__(
        self,
        loop: Loop,
        dir_fd: int,
        schedule: Schedule,
        execs: Execs,
        *,
        may_run: Callable[[], bool],
        changed: Callable[[str], None],
    ) -> None:
        """`may_run`: whether the container's processes run; `changed` is told a new status."""
        (self._args, self._interval_s, self._timeout_s, start_period_s, start_s, retries) = schedule
        self._status = HealthStatus(start_period_s=start_period_s, retries=retries)
        self._start_interval_s = start_s
        self._loop = loop
        self._dir_fd = dir_fd
        self._execs = execs
        self._may_run = may_run
        self._changed = changed
        self._began = time.monotonic()
        self._log: list[dict[str, Json]] = []
        self._check: _Check | None = None
        self._write()
        self._timer: Timer | None = None
        self._schedule()

    def stop(self) -> None:
        """The container has ended."""
        self._loop.cancel(self._timer)
        if self._check is not None:
            self._check.abandon()
            self._check = None

    def _schedule(self) -> None:
        starting = self._status.is_starting(self._age_s())
        delay_s = self._start_interval_s if starting else self._interval_s
        self._timer = self._loop.after(delay_s, self._run)

    def _age_s(self) -> float:
        return time.monotonic() - self._began

    def _run(self) -> None:
        if not self._may_run():  # what is paused would only run into the timeout
            self._schedule()
            return
        self._check = _Check(self._loop, self._execs, self._args, self._timeout_s, self._done)

    def _done(self, exit_code: int, output: str, began_ns: int) -> None:
        self._check = None
        changed = self._status.take(exit_code, self._age_s())
        self._log.append(
            {
                "Start": rfc3339(began_ns),
                "End": rfc3339(time.time_ns()),
                "ExitCode": exit_code,
                "Output": output,
            }
        )
        del self._log[:-_KEPT]
        self._write()
        if changed:
            self._changed(self._status.status)
        self._schedule()

    def _write(self) -> None:
        document: dict[str, Json] = {
            "Status": self._status.status,
            "FailingStreak": self._status.failing_streak,
            "Log": list(self._log),
        }
        try:
            replace_file(self._dir_fd, FILE_NAME, document)
        except OSError:  # a full disk must not end the container
            return


class _Check:
    """One run of the command."""

    def __init__(
        self,
        loop: Loop,
        execs: Execs,
        args: tuple[str, ...],
        timeout_s: float,
        done: Callable[[int, str, int], None],
    ) -> None:
        self._loop = loop
        self._done = done
        self._began_ns = time.time_ns()
        self._output = b""
        self._says = ""
        self._pidfd = -1
        self._timeout_s = timeout_s
        self._timed_out = False
        self._is_over = False
        self._setup, setup_there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._source = Source(loop, read_fd, taken=self._take)
        self._timer = loop.after(timeout_s, self._kill)
        asked = Asked(args=args, stdio=(-1, 0, 0))
        try:
            pidfd = execs.spawn(asked, (write_fd,), setup_there.fileno(), self._ended)
            self._pidfd = os.dup(pidfd)
        except OSError as error:
            self._says = f"{error.strerror}"
            self._timer = loop.after(0, lambda: self._finish(_NOT_RUN))
        finally:
            os.close(write_fd)
            setup_there.close()

    def abandon(self) -> None:
        """Nobody wants the result any more."""
        if not self._is_over:
            self._done = _ignored
            self._finish(_NOT_RUN)

    def _take(self, chunk: bytes) -> None:
        self._output += chunk[: _MAX_OUTPUT_BYTES - len(self._output)]

    def _kill(self) -> None:
        self._timed_out = True
        try:
            send_signal(self._pidfd, SIGKILL)
        except OSError:
            return

    def _ended(self, wait_status: int) -> None:
        if self._is_over:
            return
        message, _ = _last_word(self._setup)
        code = os.waitstatus_to_exitcode(wait_status)
        match message:
            case (wire.FAILED, str(operation), int(number), str(path)):
                self._says = f"{operation} {path}: {os.strerror(number)}"
                code = _NOT_RUN
            case _ if self._timed_out:
                self._says = f"Health check exceeded timeout ({self._timeout_s:g}s)"
                code = _NOT_RUN
            case _ if code < 0:
                code = 128 - code
            case _:
                pass
        self._finish(code)

    def _finish(self, exit_code: int) -> None:
        self._is_over = True
        self._loop.cancel(self._timer)
        self._source.drain()
        self._setup.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        text = self._says or self._output.decode("utf-8", "replace")
        self._done(exit_code, text, self._began_ns)


def _ignored(exit_code: int, output: str, began_ns: int) -> None:
    """A result that comes too late."""


def _last_word(setup: _socket.socket) -> tuple[wire.Message, tuple[int, ...]]:
    """What the child said last before its program ran, or couldn't."""
    setup.settimeout(0)
    last: tuple[wire.Message, tuple[int, ...]] = ((), ())
    try:
        while (found := wire.receive(setup))[0]:
            last = found
    except OSError:
        return last
    return last
