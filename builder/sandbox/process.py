"""A process that the sandbox server has started, as the executor's caller holds it."""

from __future__ import annotations

import _socket
import os
import select
import signal
import threading

from builder.sandbox.api import ExitStatus
from builder.sandbox.child import wire


class SandboxProcess:
    """Implements `api.Process`. Its descriptors close when its end has been seen."""

    def __init__(self, pid: int, pidfd: int, status_socket: _socket.socket) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._status_socket = status_socket
        self._ended: ExitStatus | None = None
        self._waiting = threading.Lock()
        self._pidfd_in_use = threading.Lock()
        self._terminal_fd: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def terminal_fd(self) -> int | None:
        return self._terminal_fd

    def set_terminal(self, master_fd: int) -> None:
        """Take the pty's master, for the caller to close."""
        self._terminal_fd = master_fd

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        if not self._waiting.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return None
        try:
            if self._ended is None and _wait_for(self._status_socket.fileno(), timeout_s):
                self._ended = self._receive_end()
                self._close()
            return self._ended
        finally:
            self._waiting.release()

    def _receive_end(self) -> ExitStatus:
        message, _ = wire.receive(self._status_socket)
        if not message:  # the server is gone, and the kernel kills what it had started
            self.kill()
            _wait_for(self._pidfd, None)
            return ExitStatus(128 + signal.SIGKILL, signal.SIGKILL)
        _, wait_status = message
        code = os.waitstatus_to_exitcode(int(wait_status))
        return ExitStatus(code) if code >= 0 else ExitStatus(128 - code, -code)

    def signal(self, number: int) -> None:
        with self._pidfd_in_use:
            if self._pidfd < 0:
                return
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        # the kernel kills the rest of a pid namespace with its first process
        self.signal(signal.SIGKILL)

    def release(self) -> None:
        """Forget it: somebody else waits for it now."""
        self._close()

    def _close(self) -> None:
        self._status_socket.close()
        with self._pidfd_in_use:
            os.close(self._pidfd)
            self._pidfd = -1


def _wait_for(fd: int, timeout_s: float | None) -> bool:
    """Whether `fd` became readable; a pidfd does when its process ends."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
