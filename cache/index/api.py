"""The interface of the cache index: which key has which result."""

from __future__ import annotations

from typing import Literal, NewType, Protocol

from cache.digest import Digest
from cache.record import record

CacheKey = NewType("CacheKey", str)
"""A digest over everything that a step's result depends on."""


@record
class CacheRecord:
    """What a step with this key gave. Names content by digest, so it means the same elsewhere."""

    key: CacheKey
    kind: Literal["definition", "content"]
    diff_ids: tuple[Digest, ...]  # the whole stack, base first
    ingredients: str  # JSON object: what the key was made of, to explain a miss
    created: int  # seconds since the epoch


class CacheIndex(Protocol):
    """Safe from several threads and processes; `record` is atomic and replaces earlier ones."""

    def lookup(self, key: CacheKey) -> CacheRecord | None: ...

    def lookup_many(self, keys: list[CacheKey]) -> dict[CacheKey, CacheRecord]:
        """The records of those keys that have one, in one query."""
        ...

    def record(self, records: list[CacheRecord]) -> None:
        """Keep them all or none."""
        ...

    def forget(self, key: CacheKey) -> None: ...
