"""A directory filled by a command, as an image of one layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from builder.engine import Engine
from builder.image.model import ImageConfig, StoredImage
from builder.layer.pack import pack
from cache.descriptor import EMPTY_CHAIN, chain_id
from cache.snapshot.api import ActiveSnapshot


def keep_as_image(
    engine: Engine, config: ImageConfig, name: str, fill: Callable[[ActiveSnapshot], object]
) -> StoredImage:
    """Keep what `fill` writes into the snapshot's upperdir; `config` gets the layer's diff_id.

    `name` is in normal form, "" for none.
    """
    with engine.leases.hold() as lease:
        active = engine.snapshots.prepare(EMPTY_CHAIN)
        try:
            fill(active)
            layer = pack(active.upperdir, userxattr=active.mount.userxattr)
            lease.add("chain", chain_id((layer.diff_id,)))
            engine.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
        except BaseException:
            engine.snapshots.discard(active)
            raise
        whole = replace(config, diff_ids=(layer.diff_id,))
        return engine.images.put(whole, (layer.size_bytes,), names=(name,) if name else ())
