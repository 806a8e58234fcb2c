"""What doing steps needs: of the engine, and of what the user gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from builder.events import Emit
from builder.sandbox.api import Executor
from builder.settings import Settings
from builder.worker.contexts import BuildContexts
from cache.database import Database
from cache.record import field, record
from cache.snapshot.api import Snapshotter
from cache.statedir import StateDir


@record
class StepInputs:
    """What a build's steps may take from outside the store."""

    contexts: BuildContexts
    secrets: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    ssh: Mapping[str, str] = field(default_factory=dict[str, str])


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
