"""The caller's terminal while a container has it: raw mode, and the size of the window."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager, suppress

from builder.runtime.errors import TerminalError

WindowSize = tuple[int, int]
"""Rows and columns."""


def require_terminal(fd: int) -> None:
    """TerminalError where `fd` is none: a container's terminal wants keys, not a file's bytes."""
    if not is_terminal(fd):
        raise TerminalError(
            "the input device is not a TTY",
            hint="leave out -t where the input comes from a file or a pipe",
        )


def is_terminal(fd: int) -> bool:
    """Whether `fd` is open and a terminal."""
    return os.isatty(fd)


@contextmanager
def raw_mode(fd: int) -> Generator[None, None, None]:
    """Pass every key on as it is for the length of the block; the settings come back after it."""
    try:
        before = termios.tcgetattr(fd)
        tty.setraw(fd, termios.TCSANOW)
    except termios.error as error:
        raise TerminalError(f"the terminal cannot be set to raw mode: {error.args[-1]}") from error
    try:
        yield
    finally:
        with suppress(termios.error):  # it was hung up: there are no settings any more
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def window_size(fd: int) -> WindowSize | None:
    """The size of the window; None where `fd` is no terminal."""
    try:
        return termios.tcgetwinsize(fd)
    except termios.error:
        return None


def set_window_size(fd: int, size: WindowSize) -> None:
    """Tell a pty how large it is shown; its processes get SIGWINCH."""
    termios.tcsetwinsize(fd, size)
