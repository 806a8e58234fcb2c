"""Files of an earlier run of the same COPY, taken over by hard links.

A committed snapshot is never written to, so a file of it that would come out the same, with the
same owner, mode and time, can be in the new one too. Beside its tree a snapshot of a COPY has the
list of its files, and the store says which snapshot that COPY made last. Both are hints: without
them, everything is copied.

    snapshots/N/fs        the tree
    snapshots/N/copied    JSON: path → what it must come out as
    copies/HEX            the chain id of that snapshot
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import cast

from cache.descriptor import ChainId, chain_over
from cache.digest import Digest
from cache.snapshot.api import ActiveSnapshot, SnapshotInfo
from cache.statedir import StateDir, write_atomically

_LIST = "copied"
_WORTH_FILES = 64
_WORTH_BYTES = 16 << 20

FindSnapshot = Callable[[ChainId], SnapshotInfo | None]


class Reuse:
    """One run of a COPY: what an earlier one left, and what this one leaves for the next."""

    def __init__(self, state: StateDir, find: FindSnapshot, step: str) -> None:
        """`step` names the COPY whatever its files hold."""
        self._state = state
        self._hint = state.last_copy(step)
        self._earlier_dir, self._earlier = _earlier(self._hint, find)
        self._written: dict[str, str] = {}
        self._written_bytes = 0

    def directory(self, path: str) -> int | None:
        """The earlier run's directory at `path`, open; None where it has none."""
        if not self._earlier:
            return None
        try:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(os.path.join(self._earlier_dir, path), flags)
        except OSError:
            return None  # it isn't there, or the snapshot was removed meanwhile

    def note(self, path: str, size_bytes: int, outcome: str) -> bool:
        """A file comes out as `outcome`; whether the earlier run's did."""
        self._written[path] = outcome
        self._written_bytes += size_bytes
        return self._earlier.get(path) == outcome

    def save(self, active: ActiveSnapshot, diff_id: Digest) -> None:
        """Leave the list for the next run, where there is enough of it."""
        if len(self._written) < _WORTH_FILES and self._written_bytes < _WORTH_BYTES:
            return
        with open(os.path.join(active.directory, _LIST), "w", encoding="ascii") as file:
            file.write(json.dumps(self._written))
        os.makedirs(self._state.copies_dir, mode=0o700, exist_ok=True)
        chain_id = chain_over(active.parent, diff_id)
        write_atomically(self._hint, chain_id.encode(), durable=False)


def outcome_of(content: bytes, mode: int, uid: int, gid: int, mtime_ns: int) -> str:
    """Everything that is to be said of a file without xattrs."""
    return f"{content.hex()} {mode:o} {uid} {gid} {mtime_ns}"


class Contents:
    """The digests of a match's files, in the order of its walk."""

    def __init__(self, reuse: Reuse, digests: Sequence[bytes]) -> None:
        self.reuse = reuse
        self._digests = iter(digests)

    def next(self) -> bytes:
        """Of the file that comes next; b"" past the last: the walk has found more than before."""
        return next(self._digests, b"")


def _earlier(hint: str, find: FindSnapshot) -> tuple[str, dict[str, str]]:
    """Its tree, and what its files came out as; nothing where the hint leads nowhere."""
    try:
        with open(hint, encoding="ascii") as file:
            info = find(ChainId(file.read(200)))
        if info is None:
            return "", {}
        with open(os.path.join(os.path.dirname(info.diff_dir), _LIST), encoding="ascii") as file:
            listed: object = json.loads(file.read())
    except (OSError, ValueError):
        return "", {}
    if not isinstance(listed, dict):
        return "", {}
    return info.diff_dir, cast("dict[str, str]", listed)
