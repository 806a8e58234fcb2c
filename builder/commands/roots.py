"""What the store must keep for its images and containers."""

from __future__ import annotations

from builder.engine import Engine
from builder.image.kept import documents_of
from builder.runtime.containers import Containers
from cache.gc import Roots


def find_roots(engine: Engine) -> Roots:
    """The roots of a sweep, which calls this under the store's write lock."""
    images = engine.images.list()
    containers = Containers(engine.state, engine.database, engine.now).all()
    names = [name for image in images for name in image.names]
    mounted = {mount.diff_ids for one in containers for mount in one.host.mounts.images}
    return Roots(
        stacks={one.config.diff_ids for one in images}
        | {one.diff_ids for one in containers}
        | mounted,
        blobs={one.image_id for one in images}.union(documents_of(engine.content, names)),
    )
