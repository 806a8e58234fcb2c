"""The snapshots' rows in index.sqlite: every statement about them stands here.

Functions that take a connection and change something are called inside a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cache.database import Database
from cache.descriptor import ChainId
from cache.digest import Digest
from cache.errors import NotFoundError
from cache.record import record

if TYPE_CHECKING:
    from sqlite3 import Connection

_USE_GRAIN_S = 3600  # last_used is only as fine as this, so that a look-up mostly writes nothing
_SYNCED_AFTER_S = 300  # the kernel has written back what is this old: it starts after 30 s


@record
class SnapshotRow:
    """A snapshot as the table has it, in the table's order."""

    chain_id: ChainId
    parent: ChainId
    diff_id: Digest
    size_bytes: int
    tree: int
    written_at: int
    last_used: int


_SELECT = "SELECT chain_id, parent, diff_id, size_bytes, tree, written_at, last_used FROM snapshots"


def find(connection: Connection, chain_id: ChainId) -> SnapshotRow | None:
    """The row of a snapshot; None where there is none."""
    row = connection.execute(_SELECT + " WHERE chain_id = ?", (chain_id,)).fetchone()
    return None if row is None else SnapshotRow(*row)


def require_row(connection: Connection, chain_id: ChainId) -> SnapshotRow:
    """The row; NotFoundError where there is none."""
    row = find(connection, chain_id)
    if row is None:
        raise missing(chain_id)
    return row


def require(connection: Connection, chain_id: ChainId) -> None:
    """NotFoundError where there is no such snapshot; the empty stack is always there."""
    if chain_id:
        require_row(connection, chain_id)


def missing(chain_id: ChainId) -> NotFoundError:
    """What to raise for a snapshot that is not there."""
    return NotFoundError(f"the store has no snapshot {chain_id}")


def any_of(connection: Connection, diff_id: Digest) -> SnapshotRow | None:
    """A snapshot of this layer over any parent."""
    row = connection.execute(_SELECT + " WHERE diff_id = ? LIMIT 1", (diff_id,)).fetchone()
    return None if row is None else SnapshotRow(*row)


def tree_of(connection: Connection, diff_id: Digest, *, not_in: set[int]) -> int | None:
    """A tree of this layer other than those."""
    found: list[tuple[int]] = connection.execute(
        "SELECT DISTINCT tree FROM snapshots WHERE diff_id = ?", (diff_id,)
    ).fetchall()
    return next((tree for (tree,) in found if tree not in not_in), None)


def stack(connection: Connection, chain_id: ChainId) -> list[SnapshotRow]:
    """The snapshot and all that it stands on, base first."""
    found = connection.execute(
        "WITH RECURSIVE below(chain_id, depth) AS ("
        " SELECT ?, 0 UNION ALL"
        " SELECT parent, depth + 1 FROM snapshots JOIN below USING (chain_id) WHERE parent != '')"
        " SELECT chain_id, parent, diff_id, size_bytes, tree, written_at, last_used"
        " FROM below JOIN snapshots USING (chain_id) ORDER BY depth DESC",
        (chain_id,),
    )
    return [SnapshotRow(*row) for row in found]


def all_snapshots(connection: Connection) -> list[SnapshotRow]:
    """Every row, in no order."""
    return [SnapshotRow(*row) for row in connection.execute(_SELECT)]


def add(connection: Connection, row: SnapshotRow) -> None:
    """Add a row."""
    connection.execute(
        "INSERT INTO snapshots (chain_id, parent, diff_id, size_bytes, tree, written_at, last_used)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(row.chain_id, row.parent, row.diff_id, row.size_bytes),
            *(row.tree, row.written_at, row.last_used),
        ),
    )


def add_tree(connection: Connection, boot_id: str, now: int) -> int:
    """The number of a tree that is about to be there."""
    cursor = connection.execute(
        "INSERT INTO trees (boot_id, written_at) VALUES (?, ?)", (boot_id, now)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def touch(database: Database, used: list[SnapshotRow], now: int) -> None:
    """Note that these are in use, where that isn't known of late."""
    stale = [(now, row.chain_id) for row in used if row.last_used < now - _USE_GRAIN_S]
    if stale:
        with database.transaction() as connection:
            connection.executemany("UPDATE snapshots SET last_used = ? WHERE chain_id = ?", stale)


def has_children(connection: Connection, chain_id: ChainId) -> bool:
    """Whether another snapshot stands on this one."""
    child = connection.execute("SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1", (chain_id,))
    return child.fetchone() is not None


def delete(connection: Connection, chain_id: ChainId) -> None:
    """Forget a snapshot, and the merged tree that ends with it. Its tree is not looked at."""
    connection.execute("DELETE FROM snapshots WHERE chain_id = ?", (chain_id,))
    connection.execute("DELETE FROM merged_trees WHERE chain_id = ?", (chain_id,))


def delete_with_descendants(connection: Connection, chain_id: ChainId) -> None:
    """Forget a snapshot and all that stands on it."""
    found: list[tuple[ChainId]] = connection.execute(
        "WITH RECURSIVE above(chain_id) AS ("
        " SELECT ? UNION"
        " SELECT snapshots.chain_id FROM snapshots JOIN above ON parent = above.chain_id)"
        " SELECT chain_id FROM above",
        (chain_id,),
    ).fetchall()
    for (descendant,) in found:
        delete(connection, descendant)


def trees(connection: Connection) -> list[int]:
    """The numbers of all trees."""
    return [tree for (tree,) in connection.execute("SELECT tree FROM trees")]


def take_unused_trees(connection: Connection) -> list[int]:
    """Forget the trees that nothing refers to, and say which: their directories can go."""
    found = connection.execute(
        "DELETE FROM trees WHERE tree NOT IN (SELECT tree FROM snapshots)"
        " AND tree NOT IN (SELECT tree FROM merged_trees) RETURNING tree"
    )
    return [tree for (tree,) in found.fetchall()]


def merged_tree(connection: Connection, chain_id: ChainId, boot_id: str) -> int | None:
    """The merged tree with this uppermost layer, where this boot made it."""
    row: tuple[int] | None = connection.execute(
        "SELECT tree FROM merged_trees JOIN trees USING (tree) WHERE chain_id = ? AND boot_id = ?",
        (chain_id, boot_id),
    ).fetchone()
    return row and row[0]


def set_merged(connection: Connection, chain_id: ChainId, tree: int) -> None:
    """Note the merged tree that has this uppermost layer; an earlier one is forgotten."""
    connection.execute(
        "INSERT OR REPLACE INTO merged_trees (chain_id, tree) VALUES (?, ?)", (chain_id, tree)
    )


def drop_merged(connection: Connection, *, deeper_than: int) -> None:
    """Forget the merged trees that are below no snapshot so deep in its stack."""
    connection.execute(
        "WITH RECURSIVE depths(chain_id, depth) AS ("
        " SELECT chain_id, 1 FROM snapshots WHERE parent = '' UNION ALL"
        " SELECT snapshots.chain_id, depth + 1 FROM snapshots"
        " JOIN depths ON parent = depths.chain_id),"
        " used(chain_id) AS ("
        " SELECT chain_id FROM depths WHERE depth > ? UNION"
        " SELECT parent FROM snapshots JOIN used USING (chain_id))"
        " DELETE FROM merged_trees WHERE chain_id NOT IN (SELECT chain_id FROM used)",
        (deeper_than,),
    )


def suspects(connection: Connection, boot_id: str) -> set[int]:
    """Trees of earlier boots that were written shortly before the boot's last sign of life."""
    found = connection.execute(
        "SELECT tree FROM trees JOIN ("
        " SELECT boot_id, max(written_at) AS last FROM trees WHERE boot_id != ? GROUP BY boot_id)"
        " USING (boot_id) WHERE NOT checked AND written_at > last - ?",
        (boot_id, _SYNCED_AFTER_S),
    )
    return {tree for (tree,) in found}


def set_checked(connection: Connection, tree: int) -> None:
    """Note that a tree was found whole."""
    connection.execute("UPDATE trees SET checked = 1 WHERE tree = ?", (tree,))
