"""The interface of a snapshotter: root filesystems as stacks of layers."""

from __future__ import annotations

from typing import Protocol

from cache.descriptor import ChainId
from cache.digest import Digest
from cache.record import record


@record
class Mount:
    """How to make a root filesystem appear; data for whoever may call mount(2).

    Overlay when `lowerdirs` is not empty (first is the top one, as overlayfs wants it), writable
    when `upperdir` is set. Without lowerdirs, `upperdir` is the tree itself, to be bound.
    All are absolute paths. A read-only mount of exactly one lowerdir is a bind of it too.
    """

    lowerdirs: tuple[str, ...]
    upperdir: str | None = None
    workdir: str | None = None
    userxattr: bool = False  # overlay xattrs live in user.overlay.*, not trusted.overlay.*
    copied: bool = False  # nothing can be mounted: a copy is to stand for it (snapshot.copied)


@record
class ActiveSnapshot:
    """A snapshot being written; `upperdir` gets the changes, directly or through the mount."""

    directory: str  # holds upperdir and workdir; below the store's tmp/
    upperdir: str  # its own metadata (mode, owner) is the root directory's
    parent: ChainId
    mount: Mount


@record
class SnapshotInfo:
    """A committed snapshot: one layer on top of its parent."""

    chain_id: ChainId
    parent: ChainId  # EMPTY_CHAIN for a first layer
    diff_id: Digest
    size_bytes: int  # of the layer's plain tar
    diff_dir: str  # absolute path of the layer's own tree (an overlay upperdir)
    written_at: int = 0  # seconds since the epoch; of the first time that this chain was committed


class Snapshotter(Protocol):
    """Committed snapshots never change and are named by chain id.

    Safe from several threads and processes.
    """

    def prepare(self, parent: ChainId) -> ActiveSnapshot:
        """A new writable snapshot over `parent` (EMPTY_CHAIN: over nothing).

        It belongs to this process: when the process dies, the next command sweeps it away.
        NotFoundError where the parent is not there.
        """
        ...

    def commit(self, active: ActiveSnapshot, *, diff_id: Digest, size_bytes: int) -> SnapshotInfo:
        """Keep what was written, under its chain id, in one atomic step; `active` is gone after.

        The caller has packed the upperdir and knows its diff_id. Idempotent: where the chain id is
        there already, the earlier snapshot stays and this one is dropped. Where only the diff_id is
        there, over another parent, both share one tree on disk.
        """
        ...

    def discard(self, active: ActiveSnapshot) -> None:
        """Remove what was written. Idempotent."""
        ...

    def stack(self, parent: ChainId, diff_id: Digest) -> SnapshotInfo | None:
        """Put a layer that the store knows from another stack on top of `parent`, without copying.

        None where no committed snapshot has this diff_id.
        """
        ...

    def has_layer(self, diff_id: Digest) -> bool:
        """Whether some committed snapshot has this diff_id, so that `stack` finds it."""
        ...

    def info(self, chain_id: ChainId) -> SnapshotInfo | None:
        """What is known of it; None where it is not there."""
        ...

    def view(self, chain_id: ChainId) -> Mount:
        """A read-only mount of the whole stack; EMPTY_CHAIN gives an empty directory."""
        ...

    def remove(self, chain_id: ChainId) -> None:
        """Forget it, and its tree when no other snapshot shares it.

        NotFoundError, or StoreError where another snapshot has it as its parent.
        """
        ...

    def sweep(self) -> None:
        """Remove the trees that no snapshot needs any more. Safe beside other processes."""
        ...
