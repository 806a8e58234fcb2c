"""The cache index as a table of index.sqlite."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Literal

from cache.database import Database
from cache.digest import Digest
from cache.index.api import CacheKey, CacheRecord

_USE_GRAIN_S = 3600  # last_used is only as fine as this, so that a look-up mostly writes nothing

_Row = tuple[str, Literal["definition", "content"], str, str, int, int]


class SqliteCacheIndex:
    """A CacheIndex in the store's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lookup(self, key: CacheKey) -> CacheRecord | None:
        return self.lookup_many([key]).get(key)

    def lookup_many(self, keys: list[CacheKey]) -> dict[CacheKey, CacheRecord]:
        rows: list[_Row] = (
            self._database.connection()
            .execute(
                "SELECT key, kind, diff_ids, ingredients, created, last_used FROM cache_records"
                " WHERE key IN (SELECT value FROM json_each(?))",
                (json.dumps(keys),),
            )
            .fetchall()
        )
        now = int(time.time())
        self._touch([row[0] for row in rows if row[5] < now - _USE_GRAIN_S], now)
        return {record.key: record for record in map(_record, rows)}

    def record(self, records: list[CacheRecord]) -> None:
        now = int(time.time())
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO cache_records"
                " (key, kind, diff_ids, ingredients, created, last_used) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (r.key, r.kind, json.dumps(r.diff_ids), r.ingredients, r.created, now)
                    for r in records
                ],
            )

    def forget(self, key: CacheKey) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM cache_records WHERE key = ?", (key,))

    def _touch(self, keys: Iterable[str], now: int) -> None:
        stale = [(now, key) for key in keys]
        if stale:
            with self._database.transaction() as connection:
                connection.executemany(
                    "UPDATE cache_records SET last_used = ? WHERE key = ?", stale
                )


def _record(row: _Row) -> CacheRecord:
    key, kind, diff_ids, ingredients, created, _ = row
    return CacheRecord(
        key=CacheKey(key),
        kind=kind,
        diff_ids=tuple(Digest(diff_id) for diff_id in json.loads(diff_ids)),
        ingredients=ingredients,
        created=created,
    )
