"""A store of its own for a unit test: no mounts, no root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builder.engine import Engine
from builder.events import Event
from builder.export.api import Exporter
from builder.export.blobs import LayerBlobs, Packing
from builder.export.dockerarchive import DockerArchiveExporter
from builder.export.ocilayout import OciLayoutExporter
from builder.image.imagestore import ImageStore
from builder.registry.access import RegistryAccess
from builder.registry.registries import Registries
from builder.sandbox.api import Executor
from builder.settings import Settings
from cache.content.local import LocalContentStore
from cache.database import Database
from cache.digest import Digest
from cache.index.sqlite import SqliteCacheIndex
from cache.leases import Leases
from cache.snapshot.overlay import OverlaySnapshotter
from cache.statedir import StateDir


@dataclass
class Store:
    """The parts of an engine that keep images; `events` has what was emitted."""

    settings: Settings
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
            settings=Settings(root_dir=str(folder), rootless=True),
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


def engine_of(store: Store) -> Engine:
    """An engine that can do what needs no mounts and runs nothing."""
    blobs = LayerBlobs(store.content, store.snapshots, store.images, userxattr=True)

    def exporter(kind: str) -> Exporter:
        if kind == "docker":
            return DockerArchiveExporter(store.content, blobs)
        return OciLayoutExporter(store.content, blobs, as_directory=kind == "oci-dir")

    def executor() -> Executor:
        raise AssertionError("a unit test runs no container")

    return Engine(
        settings=store.settings,
        state=store.state,
        database=store.database,
        content=store.content,
        snapshots=store.snapshots,
        index=SqliteCacheIndex(store.database),
        images=store.images,
        leases=store.leases,
        executor=executor,
        exporter=exporter,
        layer_sink=lambda compression, level: blobs.sink(Packing(compression, level)),
        registries=lambda: Registries(RegistryAccess(), {}),
        emit=store.emit,
        now=lambda: 1_700_000_000.0,
    )
