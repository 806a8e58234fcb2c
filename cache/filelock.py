"""flock(2) on files of the store: locks that end with their process, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import ClassVar

from cache.errors import PybuildError

GivenUp = Callable[[], bool]
"""Whether whoever waits is told to end."""

_FIRST_LOOK_S = 0.001
_LAST_LOOK_S = 0.05


class WaitGivenUpError(PybuildError):
    """The command is to end while it waits for what another process or step has."""

    code: ClassVar[str] = "wait-given-up"

    def __init__(self) -> None:
        super().__init__("canceled while it waited for another process or step")


def try_lock(lock_fd: int, *, shared: bool = False) -> bool:
    """Lock the open file if nobody has it."""
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(lock_fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(lock_fd: int, *, shared: bool = False, given_up: GivenUp | None = None) -> None:
    """Lock the open file when it is free; WaitGivenUpError as soon as `given_up` says so.

    The kernel wakes a waiting thread by nothing but the lock, so one that may be told to give up
    looks again and again, ever more slowly.
    """
    if given_up is None:
        fcntl.flock(lock_fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        return
    pause_s = _FIRST_LOOK_S
    while not try_lock(lock_fd, shared=shared):
        if given_up():
            raise WaitGivenUpError
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LAST_LOOK_S)


def names(path: str, fd: int) -> bool:
    """Whether `path` is still the open file: it may have been removed while one waited."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
