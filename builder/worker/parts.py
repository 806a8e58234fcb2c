"""What doing steps needs of the engine, by name."""

from __future__ import annotations

from typing import Protocol

from builder.events import Emit
from builder.sandbox.api import Executor
from builder.settings import Settings
from cache.database import Database
from cache.snapshot.api import Snapshotter
from cache.statedir import StateDir


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
