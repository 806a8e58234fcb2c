"""What doing steps needs: of the engine, and of what the user gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from builder.events import Emit
from builder.graph.model import VertexId
from builder.sandbox.api import Executor
from builder.sandbox.steplimits import StepLimits
from builder.settings import Settings
from builder.worker.contexts import BuildContexts
from cache.database import Database
from cache.descriptor import Layer
from cache.record import field, record
from cache.snapshot.api import Snapshotter
from cache.statedir import StateDir


class LayerSink(Protocol):
    """Where a layer's tar goes as well, while it is packed."""

    def write(self, data: bytes, /) -> object: ...

    def keep(self, layer: Layer) -> None:
        """It was whole, and is this layer's."""
        ...


@record
class LayerSinks:
    """Sinks for the layers that the build is going to write somewhere."""

    vertices: frozenset[VertexId]  # whose layers those are
    open: Callable[[], AbstractContextManager[LayerSink]]


@record
class StepInputs:
    """What a build's steps may take from outside the store."""

    contexts: BuildContexts
    secrets: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    ssh: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: StepLimits = field(default_factory=StepLimits)
    network: str = ""  # of `pybuild network`, for steps that say nothing else; "": the usual one


class StepParts(Protocol):
    """The parts of an Engine that steps are done with."""

    @property
    def settings(self) -> Settings: ...
    @property
    def state(self) -> StateDir: ...
    @property
    def database(self) -> Database: ...
    @property
    def snapshots(self) -> Snapshotter: ...
    @property
    def emit(self) -> Emit: ...

    def executor(self) -> Executor:
        """Started when it is first asked for."""
        ...
