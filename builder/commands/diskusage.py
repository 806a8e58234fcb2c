"""What of the store's room is used for what, and how much of it a prune would give back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

from builder.commands.roots import find_roots
from builder.engine import Engine
from builder.image.model import StoredImage
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from cache.content.local import blob_sizes
from cache.descriptor import ChainId, chain_id, chain_ids
from cache.digest import Digest
from cache.gc import closed, record_uses
from cache.keepsakes import Keepsake, keepsakes
from cache.record import record
from cache.snapshot import rows
from cache.snapshot.rows import SnapshotRow
from cache.treesize import tree_bytes

UsageKind = Literal["Images", "Containers", "Local Volumes", "Build Cache"]


@record
class UsageLine:
    """A line of `system df`."""

    kind: UsageKind
    total: int
    active: int
    size_bytes: int
    reclaimable_bytes: int


@record
class ImageUsage:
    """An image: which of its layers others have, too."""

    image: StoredImage
    shared_bytes: int
    unique_bytes: int
    containers: int


@record
class ContainerUsage:
    """A container and what it wrote."""

    report: ContainerReport
    size_bytes: int


@record
class VolumeUsage:
    """A volume, and how many containers have it."""

    name: str
    links: int
    size_bytes: int


@record
class CacheUsage:
    """The result of a step, a cache mount or a download."""

    name: str
    kind: str
    size_bytes: int
    created: int  # seconds since the epoch; 0: unknown
    last_used: int
    is_used: bool
    is_shared: bool  # an image needs it anyway


@record
class DiskUsage:
    """All of it."""

    lines: tuple[UsageLine, ...]
    images: tuple[ImageUsage, ...]
    containers: tuple[ContainerUsage, ...]
    volumes: tuple[VolumeUsage, ...]
    cache: tuple[CacheUsage, ...]


def disk_usage(engine: Engine) -> DiskUsage:
    """What is there now. Walks the files of containers, volumes and cache mounts."""
    store = _Store(engine)
    containers = tuple(map(store.container, store.reports))
    volumes = store.volumes()
    cache = store.cache()
    return DiskUsage(
        (
            store.image_line(),
            _line_of_containers(containers),
            _line_of_volumes(volumes),
            store.cache_line(cache),
        ),
        tuple(map(store.image, store.images)),
        containers,
        volumes,
        cache,
    )


class _Store:
    """The tables, read once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._containers = Containers(engine.state, engine.database, engine.now)
        connection = engine.database.connection()
        self.images = engine.images.list()
        self.reports = self._containers.reports()
        self._rows = {row.chain_id: row for row in rows.all_snapshots(connection)}
        self._uses = record_uses(connection)
        self._created: dict[str, int] = dict(
            connection.execute("SELECT key, created FROM cache_records").fetchall()
        )
        self._image_trees = Counter(
            tree
            for image in self.images
            for tree in {row.tree for row in self._stack(image.config.diff_ids)}
        )
        self._keepsakes = keepsakes(engine.state)

    def _stack(self, diff_ids: tuple[Digest, ...]) -> list[SnapshotRow]:
        return [self._rows[chain] for chain in chain_ids(diff_ids) if chain in self._rows]

    def image(self, image: StoredImage) -> ImageUsage:
        stack = self._stack(image.config.diff_ids)
        return ImageUsage(
            image,
            _bytes_of(row for row in stack if self._image_trees[row.tree] > 1),
            _bytes_of(row for row in stack if self._image_trees[row.tree] == 1),
            sum(report.container.image_id == image.image_id for report in self.reports),
        )

    def image_line(self) -> UsageLine:
        """With the blobs that layers came in, the configs and the manifests."""
        used = {report.container.image_id for report in self.reports}
        active = [image for image in self.images if image.image_id in used]
        size_bytes = self._image_bytes(self.images)
        return UsageLine(
            "Images",
            len(self.images),
            len(active),
            size_bytes,
            size_bytes - self._image_bytes(active),
        )

    def _image_bytes(self, images: Collection[StoredImage]) -> int:
        diff_ids = {diff_id for image in images for diff_id in image.config.diff_ids}
        blobs: list[tuple[str, str]] = (
            self._engine.database.connection()
            .execute("SELECT diff_id, digest FROM layer_blobs")
            .fetchall()
        )
        named = {digest for diff_id, digest in blobs if diff_id in diff_ids}
        named.update(image.image_id for image in images)
        sizes = blob_sizes(self._engine.state)
        stacks = (row for image in images for row in self._stack(image.config.diff_ids))
        return _bytes_of(stacks) + sum(sizes.get(digest, 0) for digest in named)

    def container(self, report: ContainerReport) -> ContainerUsage:
        paths = self._containers.paths(report.container.container_id)
        return ContainerUsage(report, tree_bytes(paths.upperdir))

    def volumes(self) -> tuple[VolumeUsage, ...]:
        volumes = self._containers.volumes
        return tuple(
            VolumeUsage(
                volume.name,
                len(volumes.users(volume.name)),
                0 if volume.device else tree_bytes(volumes.data_dir(volume.name)),
            )
            for volume in volumes.all()
        )

    def cache(self) -> tuple[CacheUsage, ...]:
        """What cache records give, by result, and what lies beside them; the latest used first."""
        leased = self._engine.leases.held("chain")
        last_used: dict[ChainId, int] = {}
        created: dict[ChainId, int] = {}
        for use in self._uses:
            chain = chain_id(use.diff_ids)
            if chain in self._rows:
                last_used[chain] = max(use.last_used, last_used.get(chain, 0))
                made = self._created.get(use.key, use.last_used)
                created[chain] = min(made, created.get(chain, made))
        results = [
            CacheUsage(
                chain,
                "regular",
                self._rows[chain].size_bytes,
                created[chain],
                used,
                chain in leased,
                is_shared=self._image_trees[self._rows[chain].tree] > 0,
            )
            for chain, used in last_used.items()
        ]
        found = (*results, *map(_cache_usage, self._keepsakes))
        return tuple(sorted(found, key=lambda one: -one.last_used))

    def cache_line(self, cache: tuple[CacheUsage, ...]) -> UsageLine:
        """Of layers those alone that no image or container has, left over ones as well."""
        roots = find_roots(self._engine)
        needed = {row.tree for stack in roots.stacks for row in self._stack(stack)}
        own = [row for row in self._rows.values() if row.tree not in needed]
        leased = closed(set(map(ChainId, self._engine.leases.held("chain"))), self._rows)
        kept = [one for one in self._keepsakes if one.is_used]
        size_bytes = _bytes_of(own) + sum(one.size_bytes for one in self._keepsakes)
        used_bytes = _bytes_of(row for row in own if row.chain_id in leased) + sum(
            one.size_bytes for one in kept
        )
        active = sum(one.is_used for one in cache)
        return UsageLine("Build Cache", len(cache), active, size_bytes, size_bytes - used_bytes)


def _line_of_containers(containers: tuple[ContainerUsage, ...]) -> UsageLine:
    idle = [one for one in containers if not one.report.is_running]
    return UsageLine(
        "Containers",
        len(containers),
        len(containers) - len(idle),
        sum(one.size_bytes for one in containers),
        sum(one.size_bytes for one in idle),
    )


def _line_of_volumes(volumes: tuple[VolumeUsage, ...]) -> UsageLine:
    return UsageLine(
        "Local Volumes",
        len(volumes),
        sum(one.links > 0 for one in volumes),
        sum(one.size_bytes for one in volumes),
        sum(one.size_bytes for one in volumes if not one.links),
    )


def _cache_usage(keepsake: Keepsake) -> CacheUsage:
    return CacheUsage(
        keepsake.name,
        keepsake.kind,
        keepsake.size_bytes,
        0,
        keepsake.last_used,
        keepsake.is_used,
        is_shared=False,
    )


def _bytes_of(found: Iterable[SnapshotRow]) -> int:
    """The size of their trees: those that several have count once."""
    return sum({row.tree: row.size_bytes for row in found}.values())
