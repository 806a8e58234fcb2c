"""Give a container another name."""

from __future__ import annotations

from builder.engine import Engine
from builder.errors import UsageError
from builder.runtime.containers import Containers
from builder.runtime.names import checked_name


def rename_container(engine: Engine, text: str, name: str) -> None:
    """ContainerNameTakenError where another has that name. It may run meanwhile."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    checked_name(name)
    if container.name == name:
        raise UsageError(f"container {text} is called {name} already")
    renamed = containers.rename(container.container_id, name)
    containers.journal.note_container(renamed, "rename", oldName=f"/{container.name}")
