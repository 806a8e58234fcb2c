"""How much the store holds.

A snapshot counts with its layer's plain tar, which costs no walk; trees that several stacks share
count once.
"""

from __future__ import annotations

import os

from cache.content.local import blob_sizes
from cache.database import Database
from cache.record import record
from cache.statedir import StateDir


@record
class Usage:
    """Numbers and bytes of what the store holds."""

    snapshots: int
    snapshots_bytes: int
    blobs: int
    blobs_bytes: int
    cache_records: int
    cache_mounts: int

    @property
    def total_bytes(self) -> int:
        return self.snapshots_bytes + self.blobs_bytes


def usage(state: StateDir, database: Database) -> Usage:
    """What is there now."""
    connection = database.connection()
    snapshots: tuple[int, int] = connection.execute(
        "SELECT count(*), coalesce(sum(size_bytes), 0)"
        " FROM (SELECT max(size_bytes) AS size_bytes FROM snapshots GROUP BY tree)"
    ).fetchone()
    records: tuple[int] = connection.execute("SELECT count(*) FROM cache_records").fetchone()
    blobs = blob_sizes(state)
    return Usage(
        snapshots=snapshots[0],
        snapshots_bytes=snapshots[1],
        blobs=len(blobs),
        blobs_bytes=sum(blobs.values()),
        cache_records=records[0],
        cache_mounts=len(os.listdir(state.cache_mounts_dir)),
    )


def tree_bytes(directory: str) -> int:
    """The bytes of all files in a tree, one of several names counting once; 0 for a missing one."""
    seen: set[tuple[int, int]] = set()
    waiting = [directory]
    total = 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        total += status.st_size
        except (FileNotFoundError, PermissionError):  # it changes meanwhile, or isn't ours to read
            continue
    return total
