"""index.sqlite: what stands in which table, and how an older file becomes a newer one.

Write-ahead log, one short transaction a change, a connection a thread. The file may be deleted by
nobody but its owner; a process killed at any instant leaves it consistent (SQLite's own promise).
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cache.errors import StoreError
from cache.statedir import StateDir

if TYPE_CHECKING:
    import sqlite3
else:
    import _sqlite3 as sqlite3  # what `sqlite3` adds, dates and times, takes longer than a query

MIGRATIONS: tuple[str, ...] = (
    """
    -- Images. The config blob is blobs/sha256/IMAGE_ID; a name has one image, an image many names.
    CREATE TABLE images (
      image_id TEXT PRIMARY KEY,      -- digest of the config blob
      layer_sizes TEXT NOT NULL,      -- JSON array: plain tar bytes of each diff_id
      stored_at INTEGER NOT NULL
    );
    CREATE TABLE names (
      name TEXT PRIMARY KEY,          -- normal form: docker.io/library/app:latest
      image_id TEXT NOT NULL REFERENCES images(image_id)
    );
    -- Layers as stored: a layer from elsewhere keeps its blob; others are packed when exported.
    CREATE TABLE layer_blobs (
      diff_id TEXT NOT NULL,
      variant TEXT NOT NULL,          -- "origin", or compression and level: "gzip-1"
      media_type TEXT NOT NULL,
      digest TEXT NOT NULL,
      size_bytes INTEGER NOT NULL,
      PRIMARY KEY (diff_id, variant)
    );
    -- Directories below snapshots/. A number is never used again.
    CREATE TABLE trees (
      tree INTEGER PRIMARY KEY AUTOINCREMENT,
      boot_id TEXT NOT NULL,          -- of the boot that wrote it
      written_at INTEGER NOT NULL,
      checked INTEGER NOT NULL DEFAULT 0  -- 1: found whole in a later boot
    );
    CREATE TABLE snapshots (
      chain_id TEXT PRIMARY KEY,
      parent TEXT NOT NULL,           -- chain_id, "" for none
      diff_id TEXT NOT NULL,
      size_bytes INTEGER NOT NULL,    -- of the plain tar
      tree INTEGER NOT NULL REFERENCES trees(tree),  -- stacks of equal layers share it
      written_at INTEGER NOT NULL,
      last_used INTEGER NOT NULL
    );
    CREATE INDEX snapshots_diff_id ON snapshots(diff_id);
    CREATE INDEX snapshots_parent ON snapshots(parent);
    CREATE INDEX snapshots_tree ON snapshots(tree);
    -- Several layers as one tree of hard links, for stacks too deep for overlayfs.
    CREATE TABLE merged_trees (
      chain_id TEXT PRIMARY KEY,      -- of the uppermost layer in it
      tree INTEGER NOT NULL REFERENCES trees(tree)
    );
    CREATE TABLE cache_records (
      key TEXT PRIMARY KEY,
      kind TEXT NOT NULL,             -- definition, content
      diff_ids TEXT NOT NULL,         -- JSON array, base first
      ingredients TEXT NOT NULL,      -- JSON object
      created INTEGER NOT NULL,
      last_used INTEGER NOT NULL
    );
    CREATE TABLE file_digests (
      device INTEGER NOT NULL,
      inode INTEGER NOT NULL,
      size_bytes INTEGER NOT NULL,
      mtime_ns INTEGER NOT NULL,
      ctime_ns INTEGER NOT NULL,
      digest BLOB NOT NULL,           -- raw xxh3-128 of the content: never leaves this machine
      PRIMARY KEY (device, inode)
    ) WITHOUT ROWID;
    CREATE TABLE containers (
      container_id TEXT PRIMARY KEY,  -- 64 hex digits
      name TEXT NOT NULL UNIQUE,
      image_id TEXT NOT NULL,
      created INTEGER NOT NULL
    );
    -- What running processes use; an owner is a locked directory below tmp/.
    CREATE TABLE leases (
      owner TEXT NOT NULL,
      kind TEXT NOT NULL,             -- chain, blob, image
      name TEXT NOT NULL,
      PRIMARY KEY (owner, kind, name)
    );
    """,
    """
    -- Whether a container goes with its process: run --rm.
    ALTER TABLE containers ADD COLUMN auto_remove INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- The images of a name that has one for each of several platforms, in the index's order;
    -- `names` has the one that is meant where no platform is said.
    CREATE TABLE platform_images (
      name TEXT NOT NULL,
      platform TEXT NOT NULL,         -- linux/arm64
      image_id TEXT NOT NULL REFERENCES images(image_id),
      position INTEGER NOT NULL,
      PRIMARY KEY (name, platform)
    );
    CREATE INDEX platform_images_image_id ON platform_images(image_id);
    """,
    """
    -- Volumes, and what containers have mounted: neither goes while a container needs it.
    CREATE TABLE volumes (
      name TEXT PRIMARY KEY,
      created INTEGER NOT NULL,       -- microseconds since the epoch
      anonymous INTEGER NOT NULL,     -- 1: made for one container, which took it along or not
      labels TEXT NOT NULL,           -- JSON object
      options TEXT NOT NULL           -- JSON object: of the driver, as the user wrote them
    ) WITHOUT ROWID;
    CREATE TABLE mounted (
      container_id TEXT NOT NULL,
      kind TEXT NOT NULL,             -- volume, image
      name TEXT NOT NULL,             -- the volume's, the image's id
      PRIMARY KEY (container_id, kind, name)
    ) WITHOUT ROWID;
    CREATE INDEX mounted_name ON mounted(kind, name);
    """,
)
"""The n-th brings a file of version n to n + 1. Only ever appended to."""


class Database:
    """Connections to index.sqlite, one a thread; made on first use."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._path = state.database
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open()
            self._local.connection = connection
            with self._guard:
                self._all.append(connection)
        return connection

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """A write transaction: all of the block's changes or none; waits for other writers.

        StoreError where the index can't be written to.
        """
        connection = self.connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        finally:
            if connection.in_transaction:  # SQLite itself ends it after some errors
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close every connection. Idempotent."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()
            self._local = threading.local()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=60, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")  # a crash may lose the last changes only
        if _version(connection) != len(MIGRATIONS):
            with self._state.lock("database"):  # SQLite doesn't wait when two turn WAL on
                connection.execute("PRAGMA journal_mode=WAL")
                _migrate(connection)

    def _unusable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"{self._path} cannot be used: {error}",
            hint="is the disk full, or the file damaged or not writable for you?",
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the index has version {version}, this pybuild reads {len(MIGRATIONS)}",
            hint="use the pybuild that made it, or another PYBUILD_ROOT",
        )
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;"
        )
