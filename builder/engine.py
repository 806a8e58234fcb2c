"""The engine: all that a use case may touch, as a frozen bag of narrow interfaces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cache.record import record

if TYPE_CHECKING:  # names only: an engine must not import what its command doesn't use
    from builder.events import Emit
    from builder.export.api import Compression, Exporter
    from builder.export.blobs import LayerSink
    from builder.image.imagestore import ImageStore
    from builder.registry.registries import Registries
    from builder.sandbox.api import ContainerExecutor
    from builder.settings import Settings
    from cache.content.api import ContentStore
    from cache.database import Database
    from cache.index.api import CacheIndex
    from cache.leases import Leases
    from cache.snapshot.api import Snapshotter
    from cache.statedir import StateDir


@record
class Engine:
    """One invocation's view of the store and of the machine; made by `wiring`, closed by it.

    `executor`, `exporter` and `registries` are called when one is needed, so that a build that runs
    nothing starts nothing.
    """

    settings: Settings
    state: StateDir
    database: Database
    content: ContentStore
    snapshots: Snapshotter
    index: CacheIndex
    images: ImageStore
    leases: Leases
    executor: Callable[[], ContainerExecutor]
    exporter: Callable[[str], Exporter]  # by type: oci, docker, tar, local, registry
    layer_sink: Callable[[Compression | None, int | None], AbstractContextManager[LayerSink]]
    registries: Callable[[], Registries]
    emit: Emit
    now: Callable[[], float]  # seconds since the epoch
