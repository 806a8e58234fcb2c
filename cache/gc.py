"""What of the store can go, and making it go.

Kept are: what the roots name (images, containers), what living processes hold leases on, what the
cache records that stay give, and whatever those stand on. Finding the roots, deciding and
forgetting happen in one write transaction, so an image or a lease made before it counts, and a
lease taken after it finds nothing; trees and blobs are removed once no row names them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from cache.content.adopt import renewal_of
from cache.content.local import blob_sizes
from cache.database import Database
from cache.descriptor import ChainId, chain_id, chain_ids
from cache.digest import Digest
from cache.leases import Leases
from cache.record import record
from cache.snapshot import rows
from cache.snapshot.api import Snapshotter
from cache.snapshot.rows import SnapshotRow
from cache.statedir import StateDir

if TYPE_CHECKING:
    from sqlite3 import Connection

_YOUNG_BLOB_S = 600  # may be on its way to its first name


@record
class Roots:
    """What images and containers need, by content: only the caller can read those."""

    stacks: Collection[tuple[Digest, ...]] = ()  # layers, base first
    blobs: Collection[Digest] = ()  # configs, manifests


@record
class Policy:
    """Which cache records stay: by default all whose result is there."""

    used_since: int = 0  # seconds since the epoch; what was last used before goes
    keep_bytes: int | None = None  # longest unused first, until their layers need no more
    keep_shared: bool = False  # whatever else is said, those stay whose layers the roots need


@record
class RecordUse:
    """A cache record, as far as it matters here."""

    key: str
    diff_ids: tuple[Digest, ...]
    last_used: int


@record
class Garbage:
    """What can go."""

    chains: frozenset[ChainId]
    records: frozenset[str]


@record
class Swept:
    """What went."""

    snapshots: int
    records: int
    blobs: int
    freed_bytes: int
    results: tuple[ChainId, ...] = ()  # what those records gave


def sweep(
    state: StateDir,
    database: Database,
    *,
    snapshots: Snapshotter,
    leases: Leases,
    find_roots: Callable[[], Roots],
    policy: Policy,
    now: int,
) -> Swept:
    """Remove what nobody needs. Safe beside running builds; killed at any instant, run it again.

    `find_roots` is called in the write transactions, on this thread.
    """
    leases.sweep()
    with database.transaction() as connection:
        roots = find_roots()
        known = rows.all_snapshots(connection)
        uses = record_uses(connection)
        found = garbage(known, uses, roots, leases.held("chain"), policy)
        freed_bytes = _tree_bytes(known, found.chains)
        for chain in found.chains:
            rows.delete(connection, chain)
        connection.executemany(
            "DELETE FROM cache_records WHERE key = ?", [(key,) for key in found.records]
        )
        layers = {row.diff_id for row in known if row.chain_id not in found.chains}
        layers.update(diff_id for stack in roots.stacks for diff_id in stack)
        _forget_layer_blobs(connection, layers)
    snapshots.sweep()
    blobs, blob_bytes = _sweep_blobs(state, database, leases, find_roots, now)
    return Swept(
        snapshots=len(found.chains),
        records=len(found.records),
        blobs=blobs,
        freed_bytes=freed_bytes + blob_bytes,
        results=tuple(
            dict.fromkeys(chain_id(one.diff_ids) for one in uses if one.key in found.records)
        ),
    )


def garbage(
    snapshots: Sequence[SnapshotRow],
    records: Sequence[RecordUse],
    roots: Roots,
    leased: Iterable[str],
    policy: Policy,
) -> Garbage:
    """The snapshots and cache records that can go: pure, from what the tables hold."""
    by_chain = {row.chain_id: row for row in snapshots}
    kept = closed({chain for stack in roots.stacks for chain in chain_ids(stack)}, by_chain)
    kept |= closed({ChainId(name) for name in leased}, by_chain)
    needed = frozenset(kept)
    dropped: set[str] = set()
    cached_bytes = 0
    for use in sorted(records, key=lambda use: (-use.last_used, use.key)):
        chains = chain_ids(use.diff_ids)
        more = set(chains) - kept
        more_bytes = sum(by_chain[chain].size_bytes for chain in more if chain in by_chain)
        is_over = policy.keep_bytes is not None and cached_bytes + more_bytes > policy.keep_bytes
        is_old = use.last_used < policy.used_since
        is_shared = policy.keep_shared and needed.issuperset(chains)
        if not by_chain.keys() >= set(chains) or ((is_old or is_over) and not is_shared):
            dropped.add(use.key)
        else:
            kept |= more
            cached_bytes += more_bytes
    return Garbage(frozenset(by_chain.keys() - kept), frozenset(dropped))


def closed(chains: set[ChainId], by_chain: Mapping[ChainId, SnapshotRow]) -> set[ChainId]:
    """Those and all that they stand on."""
    kept: set[ChainId] = set()
    for chain in chains:
        below: ChainId = chain
        while below in by_chain and below not in kept:
            kept.add(below)
            below = by_chain[below].parent
    return kept


def _tree_bytes(known: Sequence[SnapshotRow], gone: Collection[ChainId]) -> int:
    """The size of the trees that only these snapshots have."""
    staying = {row.tree for row in known if row.chain_id not in gone}
    return sum({row.tree: row.size_bytes for row in known if row.tree not in staying}.values())


def record_uses(connection: Connection) -> list[RecordUse]:
    """All cache records, in no order."""
    found: list[tuple[str, str, int]] = connection.execute(
        "SELECT key, diff_ids, last_used FROM cache_records"
    ).fetchall()
    return [
        RecordUse(key, tuple(Digest(diff_id) for diff_id in json.loads(diff_ids)), last_used)
        for key, diff_ids, last_used in found
    ]


def _forget_layer_blobs(connection: Connection, layers: Collection[Digest]) -> None:
    """Forget the blobs of layers that are gone."""
    connection.execute(
        "DELETE FROM layer_blobs WHERE diff_id NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(list(layers)),),
    )


def _sweep_blobs(
    state: StateDir,
    database: Database,
    leases: Leases,
    find_roots: Callable[[], Roots],
    now: int,
) -> tuple[int, int]:
    """Remove the blobs that nothing names; their number and size.

    Under the write lock, so that nobody takes a lease on one while it goes.
    """
    count = freed_bytes = 0
    with database.transaction() as connection:
        named: list[tuple[str]] = connection.execute("SELECT digest FROM layer_blobs").fetchall()
        kept = {digest for (digest,) in named} | set(find_roots().blobs) | leases.held("blob")
        for digest, size_bytes in blob_sizes(state).items():
            if digest not in kept and _removed(state, Digest(digest), now - _YOUNG_BLOB_S):
                count += 1
                freed_bytes += size_bytes
    return count, freed_bytes


def _removed(state: StateDir, digest: Digest, since: int) -> bool:
    """Remove a blob that nobody has made or renewed since."""
    path = state.blob(digest)
    with state.lock(renewal_of(digest)):
        if os.stat(path).st_ctime >= since:
            return False
        os.unlink(path)
    return True
