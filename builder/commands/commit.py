"""Make an image of a container's changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder.engine import Engine
from builder.image.assemble import rfc3339
from builder.image.model import ContainerConfig, StoredImage
from builder.image.reference import new_name
from builder.layer.pack import pack
from builder.runtime.commit import captured_changes, committed_config
from builder.runtime.containers import Containers
from cache.descriptor import Layer, chain_id, chain_over
from cache.errors import NotFoundError
from cache.record import record

if TYPE_CHECKING:
    from builder.runtime.container import Container
    from cache.leases import Lease


@record
class CommitRequest:
    """All that a commit is asked for."""

    container: str  # name or id
    reference: str = ""  # "": the image gets no name
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()  # Dockerfile instructions
    pause: bool = True


def commit(engine: Engine, request: CommitRequest) -> StoredImage:
    """A new image: the container's, its changes as one more layer, `request.changes` put in.

    The container stays as it is, running or not. What goes wrong or is interrupted leaves nothing.
    """
    name = new_name(request.reference) if request.reference else ""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(request.container))
    config = _changed(container.config, request.changes)  # before the work: it may be wrong
    base = _base_image(engine, container)
    with engine.leases.hold() as lease:
        layer = _layer(engine, containers, container, lease, pause=request.pause)
        image_config = committed_config(
            base.config,
            container,
            config,
            diff_id=layer.diff_id if layer else None,
            created=rfc3339(engine.now()),
            author=request.author,
            message=request.message,
        )
        sizes = (*base.layer_sizes, *((layer.size_bytes,) if layer else ()))
        return engine.images.put(image_config, sizes, names=(name,) if name else ())


def _changed(config: ContainerConfig, changes: tuple[str, ...]) -> ContainerConfig:
    if not changes:
        return config
    from builder.frontend.rewrite import apply_changes  # noqa: PLC0415 - the Dockerfile's language

    return apply_changes(config, changes)


def _base_image(engine: Engine, container: Container) -> StoredImage:
    try:
        return engine.images.get(container.image_id)
    except NotFoundError as error:
        raise NotFoundError(
            f"the image of container {container.name}, {container.image_name}, was removed",
            hint="a commit keeps that image's layers and history, so it needs the image",
        ) from error


def _layer(
    engine: Engine, containers: Containers, container: Container, lease: Lease, *, pause: bool
) -> Layer | None:
    """The container's changes as a layer of the store; None where there are none."""
    parent = chain_id(container.diff_ids)
    lease.add("chain", parent)
    paths = containers.paths(container.container_id)
    changes = captured_changes(container, paths, parent, engine.snapshots, pause=pause)
    with changes as active:
        if not os.listdir(active.upperdir):
            return None
        layer = pack(active.upperdir, userxattr=active.mount.userxattr)
        lease.add("chain", chain_over(parent, layer.diff_id))
        engine.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
        return layer
