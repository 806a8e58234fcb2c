"""An image's layers in the store so far, for threads that unpack those above."""

from __future__ import annotations

import threading

from cache.descriptor import EMPTY_CHAIN, ChainId
from cache.snapshot.api import SnapshotInfo


class AbandonedError(Exception):
    """The layer isn't wanted any more: something else went wrong, or the command is to end."""


class LayerStack:
    """Snapshots, base first. One thread adds to it, others wait until it is high enough."""

    def __init__(self) -> None:
        self._layers: list[SnapshotInfo] = []
        self._changed = threading.Condition()
        self._is_abandoned = False

    @property
    def layers(self) -> tuple[SnapshotInfo, ...]:
        return tuple(self._layers)

    @property
    def top(self) -> SnapshotInfo | None:
        return self._layers[-1] if self._layers else None

    @property
    def chain_id(self) -> ChainId:
        return self._layers[-1].chain_id if self._layers else EMPTY_CHAIN

    def add(self, info: SnapshotInfo) -> None:
        with self._changed:
            self._layers.append(info)
            self._changed.notify_all()

    def lowerdirs(self) -> tuple[str, ...]:
        """The layers' own trees, uppermost first; for looking up, not for mounting."""
        return self.lowerdirs_below(len(self._layers))

    def lowerdirs_below(self, place: int) -> tuple[str, ...]:
        """What the layer at `place` stands on; waits until it is there, or AbandonedError."""
        with self._changed:
            while len(self._layers) < place and not self._is_abandoned:
                self._changed.wait()
            self.check()
            dirs = [info.diff_dir for info in reversed(self._layers[:place])]
        return tuple(dict.fromkeys(dirs))  # of equal layers the lower one shows nothing

    def abandon(self) -> None:
        """Nobody goes on: `check` raises from now on, and whoever waits is woken."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def check(self) -> None:
        """AbandonedError where all is to end."""
        if self._is_abandoned:
            raise AbandonedError
