"""Layers from elsewhere into the store: each becomes a snapshot, and its blob is kept.

The blob is kept because packing a foreign layer's tree again may give other bytes, and then the
image would be another one. It is checked against its digest, and what it unpacks to against the
diff_id, before anything of it can be seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager

from builder.image.model import StoredImage
from builder.worker.image_layout import SourceLayer
from builder.worker.image_source import ImageSource
from builder.worker.layer_stack import LayerStack
from builder.worker.layer_unpack import UnpackedLayer, unpack_again, unpack_layer
from builder.worker.layers_at_once import LayersAtOnce
from builder.worker.stored_images import StoreParts
from cache.descriptor import EMPTY_CHAIN, ChainId, chain_id, chain_over
from cache.digest import Digest
from cache.snapshot.api import SnapshotInfo


def keep_layers(
    parts: StoreParts, source: ImageSource, layers: Sequence[SourceLayer]
) -> tuple[int, ...]:
    """Make a snapshot of each layer that has none; the sizes of their plain tars, base first.

    Several are unpacked at once; they become snapshots one after the other. The caller holds a
    lease on the stack.
    """
    stack = LayerStack()
    with _locked(parts, _unknown(parts, layers).values()):
        unknown = _unknown(parts, layers)  # another command may have had the locks
        with LayersAtOnce(parts, source, unknown, stack) as unpacked:
            for place, layer in enumerate(layers):
                if place in unknown:
                    stack.add(_committed(unpacked.take(place), stack))
                else:
                    stack.add(_restacked(parts, source, layer, stack))
    return tuple(info.size_bytes for info in stack.layers)


def missing_layers(parts: StoreParts, layers: Sequence[SourceLayer]) -> tuple[SourceLayer, ...]:
    """Those that `keep_layers` may have to read. The caller holds a lease on the stack."""
    parent = EMPTY_CHAIN
    for number, layer in enumerate(layers):
        info = _known(parts, parent, layer.diff_id)
        if info is None:
            return tuple(layers[number:])
        parent = info.chain_id
    return ()


def restore_layers(parts: StoreParts, image: StoredImage) -> None:
    """Unpack again, from the blobs that they came in, those layers that the store has dropped.

    It drops what a crash of the machine has damaged. NotFoundError for a layer made here.
    """
    if parts.snapshots.info(chain_id(image.config.diff_ids)) is not None:
        return
    stack = LayerStack()
    for diff_id in image.config.diff_ids:
        info = _known(parts, stack.chain_id, diff_id)
        stack.add(info or _committed(unpack_again(parts, diff_id, stack.lowerdirs), stack))


def _known(parts: StoreParts, parent: ChainId, diff_id: Digest) -> SnapshotInfo | None:
    return parts.snapshots.info(chain_over(parent, diff_id)) or parts.snapshots.stack(
        parent, diff_id
    )


def _unknown(parts: StoreParts, layers: Sequence[SourceLayer]) -> dict[int, SourceLayer]:
    """Those that must be unpacked, by their place in the stack; the lowest of equal ones."""
    first = {layer.diff_id: place for place, layer in reversed([*enumerate(layers)])}
    return {
        place: layers[place]
        for diff_id, place in first.items()
        if not parts.snapshots.has_layer(diff_id)
    }


@contextmanager
def _locked(parts: StoreParts, layers: Iterable[SourceLayer]) -> Generator[None]:
    """Have the layers to oneself: two commands that load one image read it once.

    Locked in the order of their names, so that no two commands wait for each other.
    """
    with ExitStack() as locks:
        for diff_id in sorted(layer.diff_id for layer in layers):
            locks.enter_context(parts.state.lock(f"layer {diff_id}"))
        yield


def _restacked(
    parts: StoreParts, source: ImageSource, layer: SourceLayer, stack: LayerStack
) -> SnapshotInfo:
    """A layer that the store had a moment ago; where it is gone it is unpacked after all."""
    info = _known(parts, stack.chain_id, layer.diff_id)
    return info or _committed(
        unpack_layer(parts, source, layer, stack.lowerdirs, stack.check), stack
    )


def _committed(unpacked: UnpackedLayer, stack: LayerStack) -> SnapshotInfo:
    with closing(unpacked):
        return unpacked.commit(stack.top)
