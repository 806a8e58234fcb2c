"""Read-only views of stacks of layers, mounted once a build in its private mount namespace."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Self

from builder.sandbox.rootfs import mounted
from cache.descriptor import ChainId
from cache.snapshot.api import Snapshotter
from cache.statedir import StateDir


class Views:
    """Root filesystems by chain id, as directories that can be read; safe from several threads.

    A `with` block: at its end all are unmounted.
    """

    def __init__(self, state: StateDir, snapshots: Snapshotter) -> None:
        self._state = state
        self._snapshots = snapshots
        self._guard = threading.Lock()
        self._stack = ExitStack()
        self._dirs: dict[ChainId, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._dirs.clear()

    def directory(self, chain: ChainId) -> str:
        """Where the stack can be read; the same place for the same chain."""
        with self._guard:
            if chain not in self._dirs:
                at = self._state.scratch("view")
                mount = self._snapshots.view(chain)
                self._dirs[chain] = self._stack.enter_context(mounted(mount, at, volatile=False))
            return self._dirs[chain]
