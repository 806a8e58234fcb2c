"""Layers and images put into a unit test's store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform, StoredImage
from builder.layer.pack import pack
from cache.descriptor import ChainId, chain_id
from cache.digest import Digest
from support.stores import Store

Fill = Callable[[Path], object]


def commit_layer(store: Store, parent: ChainId, fill: Fill) -> tuple[Digest, int]:
    """A snapshot over `parent` of what `fill` writes into a directory; its diff_id and size."""
    active = store.snapshots.prepare(parent)
    fill(Path(active.upperdir))
    layer = pack(active.upperdir, userxattr=active.mount.userxattr)
    store.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
    return layer.diff_id, layer.size_bytes


def writing(name: str, content: str = "") -> Fill:
    """Writes one file."""

    def fill(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content or name)

    return fill


def image_of(store: Store, *fills: Fill, names: tuple[str, ...] = ()) -> StoredImage:
    """An image of one layer for each of `fills`, named by normal forms."""
    diff_ids: list[Digest] = []
    sizes: list[int] = []
    for fill in fills:
        diff_id, size_bytes = commit_layer(store, chain_id(diff_ids), fill)
        diff_ids.append(diff_id)
        sizes.append(size_bytes)
    config = ImageConfig(
        platform=Platform("linux", "amd64"),
        config=ContainerConfig(cmd=("sh",)),
        diff_ids=tuple(diff_ids),
        history=tuple(HistoryEntry(created_by=f"layer {n}") for n in range(len(fills))),
    )
    image = store.images.put(config, sizes)
    for name in names:
        store.images.tag(name, image.image_id)
    return store.images.get(image.image_id)
