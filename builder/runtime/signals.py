"""Signals to this process as bytes to read, while a container has the foreground."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_KEPT: frozenset[int] = frozenset(
    {
        # no news for the container: about children and sockets of this process
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGURG,
        # the shell's job control of this process; caught, a read of the terminal would fail forever
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGKILL,
        signal.SIGSTOP,
        # faults of this process: a handler that returns would fault again
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
    }
)

_Handler = Callable[[int, FrameType | None], object] | int


class SignalQueue:
    """The signals that have come; `fileno` is readable when there are some."""

    def __init__(self, read_fd: int) -> None:
        self._read_fd = read_fd

    def fileno(self) -> int:
        return self._read_fd

    def take(self) -> bytes:
        """The numbers of the signals that have come since, in order."""
        try:
            return os.read(self._read_fd, 4096)
        except BlockingIOError:
            return b""


@contextmanager
def queued_signals() -> Generator[SignalQueue, None, None]:
    """Catch every signal that a container should get, for the length of the block.

    For the main thread. What was ignored before (SIGHUP under nohup) stays ignored.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before: dict[int, _Handler] = {}
    previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    try:
        for number in map(int, signal.valid_signals() - _KEPT):
            handler = signal.getsignal(number)
            if handler is not None and handler is not signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, _noted)
        yield SignalQueue(read_fd)
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(read_fd)
        os.close(write_fd)


def _noted(number: int, frame: FrameType | None) -> None:
    """Nothing: the interpreter has written the number to the wakeup descriptor already."""
