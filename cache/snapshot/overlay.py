"""Snapshots as overlay upperdirs: snapshots/N/fs is what one layer changed, used as a lowerdir.

A tree gets its place by one rename inside the transaction that makes its row, so whoever holds the
database's write lock knows: a directory without a row is left from a process that was killed.
Other directions are as safe: rows go first, then their directory.

After a crash of the machine a tree may be there without all of its data, since trees aren't synced
one by one. What an earlier boot wrote in its last minutes is therefore checked on first use.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from cache.database import Database
from cache.descriptor import ChainId, chain_over
from cache.digest import Digest
from cache.errors import PybuildError, StoreError
from cache.snapshot import rows
from cache.snapshot.api import ActiveSnapshot, Mount, SnapshotInfo
from cache.snapshot.merge import copy_directory_metadata, merge_layers
from cache.statedir import StateDir, remove_tree

if TYPE_CHECKING:
    from sqlite3 import Connection

MAX_LOWERDIRS = 24  # a look-up costs 11 µs with 1, 28 µs with 10, 214 µs with 100
MERGED_LAYERS = 16  # in one merged tree: 127 layers, the most an image may have, become 22

Verify = Callable[[str], Digest | None]
"""The diff_id of a tree, found by packing it again; None where that can't be said."""


class OverlaySnapshotter:
    """A Snapshotter for overlayfs; `copied` where that can't be mounted, with the same trees.

    `verify` is asked about trees that a crash may have damaged; they are dropped where it gives
    another diff_id. Layers from elsewhere rarely pack to the bytes that they came in: they are
    dropped too, and unpacked again from their blob.
    """

    def __init__(
        self,
        state: StateDir,
        database: Database,
        *,
        userxattr: bool,
        copied: bool = False,
        verify: Verify | None = None,
        boot_id: str | None = None,
    ) -> None:
        self._state = state
        self._database = database
        self._userxattr = userxattr
        self._copied = copied
        self._verify = verify
        self._boot_id = boot_id or _this_boot()
        self._suspects: set[int] | None = None

    def prepare(self, parent: ChainId) -> ActiveSnapshot:
        lowerdirs = self._lowerdirs(parent)
        directory = self._state.scratch("snapshot")
        upperdir = os.path.join(directory, "fs")
        workdir = os.path.join(directory, "work")
        os.mkdir(upperdir)
        os.chmod(upperdir, 0o755)  # noqa: S103 an image's root directory is for everyone
        mount = self._mount((), upperdir)
        if lowerdirs:
            os.mkdir(workdir)
            copy_directory_metadata(lowerdirs[0], upperdir)
            mount = self._mount(lowerdirs, upperdir, workdir)
        return ActiveSnapshot(directory, upperdir, parent, mount)

    def commit(self, active: ActiveSnapshot, *, diff_id: Digest, size_bytes: int) -> SnapshotInfo:
        remove_tree(os.path.join(active.directory, "work"))
        chain_id = chain_over(active.parent, diff_id)
        self._find(chain_id)  # drops an earlier one that a crash has damaged
        with self._database.transaction() as connection:
            rows.require(connection, active.parent)
            if rows.find(connection, chain_id) is None:
                tree = rows.tree_of(connection, diff_id, not_in=self._suspected())
                if tree is None:
                    tree = rows.add_tree(connection, self._boot_id, _now())
                    self._settle(active.directory, tree)
                self._add(connection, active.parent, diff_id, size_bytes, tree)
        self.discard(active)
        return self._known(chain_id)

    def discard(self, active: ActiveSnapshot) -> None:
        remove_tree(active.directory)

    def stack(self, parent: ChainId, diff_id: Digest) -> SnapshotInfo | None:
        chain_id = chain_over(parent, diff_id)
        known = self.info(chain_id)
        if known is not None:
            return known
        like = self._like(diff_id)
        if like is None:
            return None
        with self._database.transaction() as connection:
            rows.require(connection, parent)
            tree = rows.tree_of(connection, diff_id, not_in=self._suspected())
            if tree is None:
                return None
            if rows.find(connection, chain_id) is None:
                self._add(connection, parent, diff_id, like.size_bytes, tree)
        return self._known(chain_id)

    def has_layer(self, diff_id: Digest) -> bool:
        return self._like(diff_id) is not None

    def info(self, chain_id: ChainId) -> SnapshotInfo | None:
        row = self._find(chain_id)
        return None if row is None else self._info(row)

    def view(self, chain_id: ChainId) -> Mount:
        lowerdirs = self._lowerdirs(chain_id)
        if len(lowerdirs) < 2:
            # an overlay, not a bind of the one: what its tree marks as deleted must not show
            lowerdirs = (*lowerdirs, self._state.empty_dir)
        return self._mount(lowerdirs)

    def remove(self, chain_id: ChainId) -> None:
        with self._database.transaction() as connection:
            rows.require(connection, chain_id)
            if rows.has_children(connection, chain_id):
                raise StoreError(
                    f"the snapshot {chain_id} can't be removed: another one stands on it",
                    hint="remove what was built on top of it first",
                )
            rows.delete(connection, chain_id)
            unused = rows.take_unused_trees(connection)
        self._dispose(unused)

    def sweep(self) -> None:
        """Remove merged trees that no stack is deep enough for, and what killed processes left.

        A directory is without a row only then: rows and directories come and go under the write
        lock, or the row goes first.
        """
        with self._database.transaction() as connection:
            rows.drop_merged(connection, deeper_than=MAX_LOWERDIRS)
            unused = rows.take_unused_trees(connection)
            kept = {"0", *map(str, rows.trees(connection))}
            left = [name for name in os.listdir(self._state.snapshots_dir) if name not in kept]
        self._dispose(unused)
        self._dispose([int(name) for name in left if name.isdigit()])

    # What follows is not part of the Snapshotter interface.

    def _mount(
        self, lowerdirs: tuple[str, ...], upperdir: str | None = None, workdir: str | None = None
    ) -> Mount:
        return Mount(lowerdirs, upperdir, workdir, userxattr=self._userxattr, copied=self._copied)

    def _add(
        self,
        connection: Connection,
        parent: ChainId,
        diff_id: Digest,
        size_bytes: int,
        tree: int,
    ) -> None:
        now = _now()
        row = rows.SnapshotRow(
            chain_over(parent, diff_id), parent, diff_id, size_bytes, tree, now, now
        )
        rows.add(connection, row)

    def _known(self, chain_id: ChainId) -> SnapshotInfo:
        return self._info(rows.require_row(self._database.connection(), chain_id))

    def _info(self, row: rows.SnapshotRow) -> SnapshotInfo:
        return SnapshotInfo(
            chain_id=row.chain_id,
            parent=row.parent,
            diff_id=row.diff_id,
            size_bytes=row.size_bytes,
            diff_dir=self._fs(row.tree),
            written_at=row.written_at,
        )

    def _fs(self, tree: int) -> str:
        return os.path.join(self._state.tree(tree), "fs")

    def _like(self, diff_id: Digest) -> rows.SnapshotRow | None:
        """The row of a snapshot of this layer, over whatever."""
        like = rows.any_of(self._database.connection(), diff_id)
        return None if like is None else self._find(like.chain_id)

    def _find(self, chain_id: ChainId) -> rows.SnapshotRow | None:
        """The row, where the whole stack below it can be relied on."""
        row = rows.find(self._database.connection(), chain_id)
        if row is not None and row.tree in self._suspected():
            self._check(chain_id)
            row = rows.find(self._database.connection(), chain_id)
        return row

    def _lowerdirs(self, chain_id: ChainId) -> tuple[str, ...]:
        """What an overlay of the whole stack is mounted from, uppermost first."""
        if not chain_id:
            return ()
        if self._find(chain_id) is None:
            raise rows.missing(chain_id)
        stack = rows.stack(self._database.connection(), chain_id)
        rows.touch(self._database, stack, _now())
        layers = [self._fs(row.tree) for row in stack]
        if len(layers) > MAX_LOWERDIRS:
            layers = self._merged(stack, layers)
        # equal layers share a tree, and the kernel refuses a directory that it is given twice; the
        # lower one shows nothing
        return tuple(dict.fromkeys(reversed(layers)))

    def _merged(self, stack: list[rows.SnapshotRow], layers: list[str]) -> list[str]:
        whole = len(stack) - len(stack) % MERGED_LAYERS
        blocks = [
            self._merged_tree(
                stack[start + MERGED_LAYERS - 1].chain_id,
                layers[start : start + MERGED_LAYERS],
                hides_lower=start > 0,
            )
            for start in range(0, whole, MERGED_LAYERS)
        ]
        return blocks + layers[whole:]

    def _merged_tree(self, top: ChainId, layers: list[str], *, hides_lower: bool) -> str:
        """The tree that stands for `layers` (base first), made where it isn't there.

        One from another boot is made anew, since a crash may have left it half linked.
        """
        tree = rows.merged_tree(self._database.connection(), top, self._boot_id)
        if tree is not None:
            return self._fs(tree)
        with self._state.lock(f"merge {top}"):
            tree = rows.merged_tree(self._database.connection(), top, self._boot_id)
            if tree is None:
                tree = self._make_merged(top, layers, hides_lower=hides_lower)
        return self._fs(tree)

    def _make_merged(self, top: ChainId, layers: list[str], *, hides_lower: bool) -> int:
        directory = self._state.scratch("merged")
        try:
            merge_layers(
                layers[::-1],
                os.path.join(directory, "fs"),
                userxattr=self._userxattr,
                hides_lower=hides_lower,
            )
            with self._database.transaction() as connection:
                tree = rows.add_tree(connection, self._boot_id, _now())
                rows.set_merged(connection, top, tree)
                self._settle(directory, tree)
                unused = rows.take_unused_trees(connection)
        finally:
            remove_tree(directory)
        self._dispose(unused)
        return tree

    def _settle(self, directory: str, tree: int) -> None:
        """Move a finished directory to its place. Within the transaction that adds its row."""
        target = self._state.tree(tree)
        try:
            os.rename(directory, target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            self._dispose([tree])  # of a process that was killed before it could commit
            os.rename(directory, target)

    def _dispose(self, trees: list[int]) -> None:
        """Remove trees that have no row any more."""
        for tree in trees:
            aside = self._state.scratch("removed")
            with suppress(FileNotFoundError):  # another process is at it
                os.rename(self._state.tree(tree), os.path.join(aside, "tree"))
            remove_tree(aside)

    def _suspected(self) -> set[int]:
        """The trees that a crash may have damaged and that nobody has checked since."""
        if self._suspects is None:
            self._suspects = (
                rows.suspects(self._database.connection(), self._boot_id)
                if self._verify is not None
                else set()
            )
        return self._suspects

    def _check(self, chain_id: ChainId) -> None:
        """Check what is suspect in a stack, base first; drop what is damaged and all above it."""
        with self._state.lock("check snapshots"):
            self._suspects = None  # another process may have checked them meanwhile
            for row in rows.stack(self._database.connection(), chain_id):
                if row.tree not in self._suspected():
                    continue
                if not self._is_whole(row):
                    self._drop(row.chain_id)
                    return
                with self._database.transaction() as connection:
                    rows.set_checked(connection, row.tree)
                self._suspects = None

    def _is_whole(self, row: rows.SnapshotRow) -> bool:
        assert self._verify is not None
        try:
            return self._verify(self._fs(row.tree)) == row.diff_id
        except (OSError, PybuildError):
            return False

    def _drop(self, chain_id: ChainId) -> None:
        with self._database.transaction() as connection:
            rows.delete_with_descendants(connection, chain_id)
            unused = rows.take_unused_trees(connection)
        self._suspects = None
        self._dispose(unused)


def _now() -> int:
    return int(time.time())


def _this_boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
