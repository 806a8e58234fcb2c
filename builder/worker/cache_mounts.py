"""RUN --mount=type=cache: directories that last from build to build, and who may use them when."""

from __future__ import annotations

import itertools
import os
import secrets as randomness
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from builder.graph.model import CacheMount
from cache.filelock import GivenUp, try_lock, wait_for_lock
from cache.statedir import StateDir, remove_tree

Fill = Callable[[CacheMount, str], None]
"""Write what a new cache directory begins with."""


class CacheDirectories:
    """Those of one RUN, held until `stack` ends."""

    def __init__(self, state: StateDir, stack: ExitStack, fill: Fill, given_up: GivenUp) -> None:
        self._state = state
        self._stack = stack
        self._fill = fill
        self._given_up = given_up
        self._private: dict[str, str] = {}

    def hold(self, mounts: Iterable[CacheMount]) -> None:
        """Wait until all that are shared or locked can be used.

        In an order of their own, so that two RUNs that name them in another order cannot wait for
        each other; each once, so that a RUN which mounts one twice does not wait for itself.
        """
        exclusive: dict[str, bool] = {}
        for one in mounts:
            if one.sharing != "private":
                directory = self._state.cache_mount(one.cache_id)
                exclusive[directory] = exclusive.get(directory, False) or one.sharing == "locked"
        for directory in sorted(exclusive):
            lock_fd = self._open_lock(directory)
            self._stack.callback(os.close, lock_fd)
            wait_for_lock(lock_fd, shared=not exclusive[directory], given_up=self._given_up)

    def directory(self, one: CacheMount) -> str:
        """The mount's directory, which is there."""
        directory = self._state.cache_mount(one.cache_id)
        if one.sharing == "private":
            directory = self._private.get(directory) or self._claim(directory)
        if not os.path.isdir(directory):
            with self._state.lock(f"cache mount {directory}", given_up=self._given_up):
                if not os.path.isdir(directory):
                    self._make(one, directory)
        return directory

    def _claim(self, directory: str) -> str:
        """The first of a row of directories that nobody has; now it is this RUN's."""
        for number in itertools.count():
            candidate = directory if not number else f"{directory}-{number}"
            lock_fd = self._open_lock(candidate)
            if try_lock(lock_fd):
                self._stack.callback(os.close, lock_fd)
                self._private[directory] = candidate
                return candidate
            os.close(lock_fd)
        raise AssertionError

    def _open_lock(self, directory: str) -> int:
        lock_fd = os.open(f"{directory}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.utime(lock_fd)  # prune takes what was not used for long
        return lock_fd

    def _make(self, one: CacheMount, directory: str) -> None:
        """Whole or not at all."""
        aside = f"{directory}.{randomness.token_hex(6)}"
        os.mkdir(aside, 0o700)
        try:
            self._fill(one, aside)
            os.rename(aside, directory)
        except BaseException:
            remove_tree(aside)
            raise
