"""A store of its own for a unit test: no mounts, no root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builder.events import Event
from builder.image.imagestore import ImageStore
from cache.content.local import LocalContentStore
from cache.database import Database
from cache.digest import Digest
from cache.leases import Leases
from cache.snapshot.overlay import OverlaySnapshotter
from cache.statedir import StateDir


@dataclass
class Store:
    """The parts of an engine that keep images; `events` has what was emitted."""

    state: StateDir
    database: Database
    content: LocalContentStore
    snapshots: OverlaySnapshotter
    images: ImageStore
    leases: Leases
    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def keep_blob(self, blob: bytes) -> Digest:
        with self.content.ingest() as writer:
            writer.write(blob)
            return writer.commit()[0]


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    state = StateDir(str(folder))
    database = Database(state)
    content = LocalContentStore(state)
    try:
        yield Store(
            state=state,
            database=database,
            content=content,
            snapshots=OverlaySnapshotter(state, database, userxattr=True),
            images=ImageStore(database, content),
            leases=Leases(state, database),
        )
    finally:
        database.close()
        state.close()
