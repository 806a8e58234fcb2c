"""Leases: what running processes use, so that nobody prunes it under them.

A lease lives as long as its `with` block and no longer than its process: its owner is the
process's locked directory in tmp/, so leases of a dead process count for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Literal

from cache.database import Database
from cache.statedir import StateDir

LeaseKind = Literal["chain", "blob", "image"]


class Lease:
    """What one piece of work holds."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._held: set[tuple[str, str]] = set()

    def add(self, kind: LeaseKind, *names: str) -> None:
        """Hold these as well. Take the lease first and look whether the thing is there after."""
        new = {(kind, name) for name in names} - self._held
        if not new:
            return
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO leases (owner, kind, name) VALUES (?, ?, ?)",
                [(self._owner, kind_of, name) for kind_of, name in sorted(new)],
            )
        self._held |= new

    def release(self) -> None:
        """Let go of all of it. Idempotent."""
        if self._held:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM leases WHERE owner = ?", (self._owner,))
            self._held.clear()


class Leases:
    """The leases of all processes on this store."""

    def __init__(self, state: StateDir, database: Database) -> None:
        self._state = state
        self._database = database

    @contextmanager
    def hold(self) -> Generator[Lease, None, None]:
        """A lease that ends with the block."""
        lease = Lease(self._database, f"{self._state.owner}/{os.urandom(4).hex()}")
        try:
            yield lease
        finally:
            lease.release()

    def held(self, kind: LeaseKind) -> frozenset[str]:
        """What living processes hold."""
        rows: list[tuple[str, str]] = (
            self._database.connection()
            .execute("SELECT owner, name FROM leases WHERE kind = ?", (kind,))
            .fetchall()
        )
        alive = self._alive(owner for owner, _ in rows)
        return frozenset(name for owner, name in rows if owner in alive)

    def sweep(self) -> None:
        """Drop the leases of dead processes."""
        rows = self._database.connection().execute("SELECT DISTINCT owner FROM leases").fetchall()
        owners: set[str] = {owner for (owner,) in rows}
        dead = owners - self._alive(owners)
        if dead:
            with self._database.transaction() as connection:
                connection.executemany(
                    "DELETE FROM leases WHERE owner = ?", [(owner,) for owner in dead]
                )

    def _alive(self, owners: Iterable[str]) -> set[str]:
        """Those whose process lives."""
        by_process: dict[str, set[str]] = {}
        for owner in owners:
            by_process.setdefault(owner.partition("/")[0], set()).add(owner)
        return {
            owner
            for process, group in by_process.items()
            if self._state.is_alive(process)
            for owner in group
        }
