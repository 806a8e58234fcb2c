"""Show what a container changed in its file system."""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.engine import Engine
from builder.layer.changes import Change, changes
from builder.runtime.containers import Containers
from cache.descriptor import chain_id


def container_changes(engine: Engine, text: str) -> Iterator[Change]:
    """The changes of the container that `text` names, by path; none where it never ran."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    view = engine.snapshots.view(chain_id(container.diff_ids))
    upperdir = containers.paths(container.container_id).upperdir
    if not os.path.isdir(upperdir):
        return iter(())
    return changes(upperdir, view.lowerdirs, userxattr=view.userxattr)
