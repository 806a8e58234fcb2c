"""The first process of a container with --init: passes signals on and reaps what others leave.

A program that is the first process of its pid namespace gets no signal that it has no handler
for, and becomes the parent of all orphans; most programs are made for neither.
"""

from __future__ import annotations

import os

from builder.kernel.process import (
    block_signals,
    close_except,
    next_signal,
    set_dumpable,
    set_title,
    unblock_signals,
)

_SIGCHLD, _SIGTTIN, _SIGTTOU = 17, 21, 22


def fork_program(*, terminal: bool) -> None:
    """Returns in a new process, which is to become the program; this one ends as that one does."""
    block_signals()  # those that come meanwhile wait
    pid = os.fork()
    if pid:
        close_except(set())  # the program's output ends with the program
        _show_as(b"init")
        set_dumpable(dumpable=False)
        os._exit(_serve(pid))
    os.setpgid(0, 0)  # what is typed at the terminal comes to it once, not from here as well
    if terminal:
        os.tcsetpgrp(0, os.getpid())
    unblock_signals()


def _show_as(title: bytes) -> None:
    try:
        set_title(title)
    except OSError:  # there is another /proc, or none
        return


def _serve(pid: int) -> int:
    """Until the program has ended: its exit status."""
    while True:
        number = next_signal()
        if number == _SIGCHLD:
            status = _reap(pid)
            if status is not None:
                return status
        elif number not in {_SIGTTIN, _SIGTTOU}:
            _pass_on(pid, number)


def _reap(pid: int) -> int | None:
    """Wait for all that have ended; the exit status of the program, if it is among them."""
    status: int | None = None
    while True:
        try:
            ended, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if not ended:
            return status
        if ended == pid:
            code = os.waitstatus_to_exitcode(wait_status)
            status = code if code >= 0 else 128 - code


def _pass_on(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:  # it has another user by now, or has just ended
        return
