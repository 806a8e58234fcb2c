"""What builds keep for later ones beside the index: cache mounts, downloads, lists of copies.

Any of it may go at any time, but not from under who uses it: a RUN holds a lock on a cache mount's
.lock file, a download holds its lock of the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

from cache.database import Database
from cache.descriptor import ChainId
from cache.filelock import try_lock
from cache.record import record
from cache.snapshot import rows
from cache.statedir import StateDir
from cache.treesize import tree_bytes

_LOCK_SUFFIX = ".lock"

KeepsakeKind = Literal["exec.cachemount", "source.download"]


@record
class Keepsake:
    """One directory of these."""

    kind: KeepsakeKind
    name: str  # of the directory
    size_bytes: int
    last_used: int  # seconds since the epoch
    is_used: bool  # right now


def keepsakes(state: StateDir) -> tuple[Keepsake, ...]:
    """All cache mounts and downloads. Walks their trees."""
    mounts = (
        _keepsake("exec.cachemount", path, is_used=_is_locked(_lock_of(path)))
        for path in _cache_mounts(state)
    )
    downloads = (
        _keepsake("source.download", path, is_used=state.is_downloading(os.path.basename(path)))
        for path in _entries(state.downloads_dir)
    )
    return tuple(found for found in (*mounts, *downloads) if found is not None)


def remove_keepsake(state: StateDir, keepsake: Keepsake) -> bool:
    """Remove it, unless it is in use; whether it was removed."""
    if keepsake.kind == "source.download":
        return state.remove_download(keepsake.name)
    path = os.path.join(state.cache_mounts_dir, keepsake.name)
    lock_fd = os.open(_lock_of(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # not the lock's file: others may wait for it
        return try_lock(lock_fd) and state.remove_aside(path)
    finally:
        os.close(lock_fd)


def forget_stale_copies(state: StateDir, database: Database) -> None:
    """Remove the hints of COPY steps that lead to no snapshot any more."""
    for path in _entries(state.copies_dir):
        with suppress(FileNotFoundError), open(path, encoding="ascii", errors="replace") as file:
            if rows.find(database.connection(), ChainId(file.read(200))) is None:
                os.unlink(path)


def _keepsake(kind: KeepsakeKind, path: str, *, is_used: bool) -> Keepsake | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return Keepsake(
        kind,
        os.path.basename(path),
        size_bytes=tree_bytes(path),
        last_used=int(status.st_mtime if kind == "source.download" else _last_lock(path)),
        is_used=is_used,
    )


def _cache_mounts(state: StateDir) -> Iterator[str]:
    """The directories of cache mounts, and of their private copies."""
    for path in _entries(state.cache_mounts_dir):
        if os.path.isdir(path) and not os.path.islink(path):
            yield path


def _lock_of(path: str) -> str:
    """The lock file of a cache mount, or of one that is still being filled: NAME.RANDOM."""
    directory, name = os.path.split(path)
    return os.path.join(directory, name.partition(".")[0] + _LOCK_SUFFIX)


def _last_lock(path: str) -> float:
    """When a RUN last took the lock, which it touches."""
    try:
        return os.stat(_lock_of(path)).st_mtime
    except FileNotFoundError:
        return os.stat(path).st_mtime


def _entries(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []


def _is_locked(path: str) -> bool:
    try:
        lock_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(lock_fd)
    finally:
        os.close(lock_fd)
