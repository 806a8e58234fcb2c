"""Removing what nobody needs: stopped containers, images, build cache. Safe beside anything."""

from __future__ import annotations

from collections.abc import Collection

from builder.commands.rm import remove_container
from builder.commands.roots import find_roots
from builder.engine import Engine
from builder.image.assemble import seconds_of
from builder.image.model import StoredImage
from builder.runtime.containers import Containers
from builder.runtime.journal import Journal
from builder.runtime.prunefilters import PruneFilter
from cache.digest import Digest
from cache.errors import PybuildError
from cache.gc import Policy, Swept, sweep
from cache.keepsakes import Keepsake, forget_stale_copies, keepsakes, remove_keepsake
from cache.record import record
from cache.treesize import tree_bytes

_KEEP_ALL = Policy()


@record
class PrunedContainers:
    """What went."""

    container_ids: tuple[str, ...]
    freed_bytes: int


@record
class PrunedImages:
    """What went, as it was."""

    images: tuple[StoredImage, ...]
    freed_bytes: int


@record
class PrunedCache:
    """What went: chain ids of steps' results, names of cache mounts and downloads."""

    names: tuple[str, ...]
    freed_bytes: int


@record
class CacheRequest:
    """Which of the build cache may go."""

    every: bool = False  # also what images share, which frees nothing by itself
    unused_since: int | None = None  # seconds since the epoch; None: whenever it was last used
    keep_bytes: int | None = None  # longest unused first, until no more are left


def prune_containers(engine: Engine, wanted: PruneFilter) -> PrunedContainers:
    """Remove the containers that don't run. Their volumes stay, as with docker."""
    containers = Containers(engine.state, engine.database, engine.now)
    gone: list[str] = []
    freed_bytes = 0
    for report in containers.reports():
        container = report.container
        if report.is_running or not wanted.allows(container.created, dict(container.config.labels)):
            continue
        size_bytes = tree_bytes(containers.paths(container.container_id).upperdir)
        try:
            remove_container(engine, container.container_id, force=False, volumes=False)
        except PybuildError:  # somebody starts it, or was faster
            continue
        gone.append(container.container_id)
        freed_bytes += size_bytes
    return PrunedContainers(tuple(gone), freed_bytes)


def prune_images(engine: Engine, wanted: PruneFilter, *, every: bool) -> PrunedImages:
    """Remove the images without a tag, with `every` all that no container was made from."""

    def kept(images: Collection[StoredImage]) -> set[Digest]:
        containers = Containers(engine.state, engine.database, engine.now)
        needed: set[str] = set(engine.leases.held("image"))
        for container in containers.all():
            needed.add(container.image_id)
            needed.update(mount.image_id or "" for mount in container.host.mounts.images)
        return {
            one.image_id
            for one in images
            if one.image_id in needed or not (every or _is_dangling(one)) or not allowed(one)
        }

    def allowed(image: StoredImage) -> bool:
        created = seconds_of(image.config.created) or 0.0
        return wanted.allows(created, dict(image.config.config.labels))

    images = engine.images.sweep(kept)
    for image in images:
        Journal(engine.state).note("image", "delete", image.image_id, name=image.image_id)
    return PrunedImages(images, sweep_store(engine, _KEEP_ALL).freed_bytes)


def prune_cache(engine: Engine, request: CacheRequest) -> PrunedCache:
    """Remove what builds keep for later ones."""
    names: list[str] = []
    freed_bytes = 0
    for keepsake in _unwanted(keepsakes(engine.state), request):
        if remove_keepsake(engine.state, keepsake):
            names.append(keepsake.name)
            freed_bytes += keepsake.size_bytes
    swept = sweep_store(engine, _policy(request, engine.now()))
    forget_stale_copies(engine.state, engine.database)
    return PrunedCache((*swept.results, *names), freed_bytes + swept.freed_bytes)


def sweep_store(engine: Engine, policy: Policy) -> Swept:
    """Remove what no image, container, lease or cache record keeps."""
    return sweep(
        engine.state,
        engine.database,
        snapshots=engine.snapshots,
        leases=engine.leases,
        find_roots=lambda: find_roots(engine),
        policy=policy,
        now=int(engine.now()),
    )


def _policy(request: CacheRequest, now: float) -> Policy:
    if request.keep_bytes is not None:
        return Policy(request.unused_since or 0, request.keep_bytes, keep_shared=not request.every)
    used_since = request.unused_since
    if used_since is None:
        used_since = int(now) + 1
    return Policy(used_since, keep_shared=not request.every)


def _unwanted(found: Collection[Keepsake], request: CacheRequest) -> list[Keepsake]:
    old = [
        one for one in found if request.unused_since is None or one.last_used < request.unused_since
    ]
    if request.keep_bytes is None:
        return old
    kept_bytes = 0
    unwanted: list[Keepsake] = []
    for one in sorted(old, key=lambda one: -one.last_used):
        kept_bytes += one.size_bytes
        if kept_bytes > request.keep_bytes:
            unwanted.append(one)
    return unwanted


def _is_dangling(image: StoredImage) -> bool:
    """Whether it has no tag; a digest alone is none."""
    return all("@" in name for name in image.names)
