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
