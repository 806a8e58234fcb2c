"""Layers from elsewhere into the store: each becomes a snapshot, and its blob is kept.

The blob is kept because packing a foreign layer's tree again may give other bytes, and then the
image would be another one. It is checked against its digest, and what it unpacks to against the
diff_id, before anything of it can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from builder.events import Emit, Warned
from builder.image.imagestore import ORIGIN
from builder.image.model import MediaType, StoredImage
from builder.layer.apply import apply_layer
from builder.layer.compress import CompressingWriter, compressor, decompressed
from builder.layer.errors import BadArchiveError
from builder.layer.readahead import ReadAhead
from builder.layer.upperdir import Losses
from builder.worker.image_layout import SourceLayer
from builder.worker.image_source import ImageSource
from builder.worker.stored_images import StoreParts
from cache.content.adopt import adopt_file
from cache.content.api import BlobWriter
from cache.descriptor import EMPTY_CHAIN, ChainId, Descriptor, chain_id, chain_over
from cache.digest import Digest, HashingReader, Reader, Writer
from cache.errors import CorruptContentError, NotFoundError
from cache.snapshot.api import SnapshotInfo

_FOREIGN = ""
_MAGIC = (
    (b"\x1f\x8b", MediaType.OCI_LAYER_GZIP),
    (b"\x28\xb5\x2f\xfd", MediaType.OCI_LAYER_ZSTD),
    *((bytes([low]) + b"\x2a\x4d\x18", MediaType.OCI_LAYER_ZSTD) for low in range(0x50, 0x60)),
    (b"\xfd7zXZ\0", _FOREIGN),
    (b"BZh", _FOREIGN),
)
"""How files begin, and what that is as a layer; some are read that no image may have.

A zstd file may begin with one of 16 frames that are to be skipped. Spec: RFC 8878, 3.1.2.
"""

_NOT_KEPT = (_FOREIGN, MediaType.OCI_LAYER)
"""Compressed anew: plain tars too, where they'd have to be copied."""

MAGIC_BYTES = 6
_CHUNK = 1 << 20


def keep_layers(
    parts: StoreParts, source: ImageSource, layers: Sequence[SourceLayer]
) -> tuple[int, ...]:
    """Make a snapshot of each layer that has none; the sizes of their plain tars, base first.

    The caller holds a lease on the stack.
    """
    sizes: list[int] = []
    parent = EMPTY_CHAIN
    for layer in layers:
        info = _known(parts, parent, layer.diff_id) or _kept(parts, source, layer, parent)
        sizes.append(info.size_bytes)
        parent = info.chain_id
    return tuple(sizes)


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
    parent = EMPTY_CHAIN
    for diff_id in image.config.diff_ids:
        info = _known(parts, parent, diff_id) or _restored(parts, parent, diff_id)
        parent = info.chain_id


def warn_of_losses(losses: Losses, emit: Emit) -> None:
    """Say what of a layer is not in its snapshot. Its blob still has it."""
    if losses.devices:
        names = ", ".join(losses.devices[:3]) + (", ..." if len(losses.devices) > 3 else "")
        emit(Warned(f"left out {len(losses.devices)} devices ({names}): only root can make them"))
    if losses.owners:
        emit(Warned(f"{losses.owners} files have owners without an id here: they are root's now"))
    if losses.xattrs:
        emit(Warned(f"left out {losses.xattrs} extended attributes that can't be set here"))


def _known(parts: StoreParts, parent: ChainId, diff_id: Digest) -> SnapshotInfo | None:
    return parts.snapshots.info(chain_over(parent, diff_id)) or parts.snapshots.stack(
        parent, diff_id
    )


def _kept(
    parts: StoreParts, source: ImageSource, layer: SourceLayer, parent: ChainId
) -> SnapshotInfo:
    with parts.state.lock(f"layer {layer.diff_id}"):  # two commands that load one image
        return _known(parts, parent, layer.diff_id) or _unpacked(parts, source, layer, parent)


def _unpacked(
    parts: StoreParts, source: ImageSource, layer: SourceLayer, parent: ChainId
) -> SnapshotInfo:
    """The layer read once: hashed as stored and as plain tar, unpacked, and its blob kept."""
    _check_size(source, layer)
    with source.open(layer.file_name) as extent, _origin(parts, source, layer) as origin:
        stored = HashingReader(_Tee(extent, origin.stored_copy))
        limit_bytes = parts.settings.unpack_limit_bytes
        tar = decompressed(stored, limit_bytes=limit_bytes)
        plain = HashingReader(_Tee(tar, origin.plain_copy))

        def keep_blob() -> None:
            _drain(stored)  # what follows the compressed data belongs to the blob too
            if layer.blob is not None and stored.digest != layer.blob.digest:
                raise _damaged(source.what, layer.blob.digest)
            blob = origin.keep(stored.digest, stored.size_bytes)
            parts.images.record_blob(layer.diff_id, ORIGIN, blob)

        try:
            return _snapshot(parts, plain, parent, layer.diff_id, before_commit=keep_blob)
        except BadArchiveError:
            _drain(stored)  # raises where the bytes are not the ones that were meant: that is why
            if layer.blob is not None and stored.digest != layer.blob.digest:
                raise _damaged(source.what, layer.blob.digest) from None
            raise


def _restored(parts: StoreParts, parent: ChainId, diff_id: Digest) -> SnapshotInfo:
    blob = parts.images.origin_blob(diff_id)
    if blob is None:
        raise NotFoundError(
            f"the store has lost the layer {diff_id}", hint="build or load its image again"
        )
    with parts.content.open(blob.digest) as file:
        plain = HashingReader(decompressed(file))
        return _snapshot(parts, plain, parent, diff_id, before_commit=lambda: _drain(file))


def _snapshot(
    parts: StoreParts,
    plain: HashingReader,
    parent: ChainId,
    diff_id: Digest,
    *,
    before_commit: Callable[[], None],
) -> SnapshotInfo:
    """Unpack a plain tar, which must have this digest, over `parent`."""
    active = parts.snapshots.prepare(parent)
    try:
        with ReadAhead(plain) as ahead:
            mount = active.mount
            losses = apply_layer(
                ahead, active.upperdir, userxattr=mount.userxattr, lowerdirs=mount.lowerdirs
            )
        _check_diff_id(plain, diff_id)
        before_commit()
        warn_of_losses(losses, parts.emit)
        return parts.snapshots.commit(active, diff_id=diff_id, size_bytes=plain.size_bytes)
    except BaseException:
        parts.snapshots.discard(active)
        raise


@dataclass(frozen=True, slots=True)
class _Origin:
    """How a layer's blob is kept: who gets a copy of the bytes, and what to do when all is read."""

    keep: Callable[[Digest, int], Descriptor]
    stored_copy: Writer | None = None
    plain_copy: Writer | None = None


@contextmanager
def _origin(parts: StoreParts, source: ImageSource, layer: SourceLayer) -> Generator[_Origin]:
    """A file of its own is shared, a member of an archive copied; a plain one is compressed."""
    media_type = _media_type_of(source, layer.file_name)
    path = source.path(layer.file_name)
    if path is not None and media_type != _FOREIGN:

        def adopt(digest: Digest, size_bytes: int) -> Descriptor:
            adopt_file(parts.state, path, digest)
            return Descriptor(media_type, digest, size_bytes)

        yield _Origin(adopt)
        return
    with parts.content.ingest() as blob:
        if media_type not in _NOT_KEPT:
            yield _copied(blob, media_type)
            return
        with closing(compressor("gzip", blob)) as gzip:  # closed on failure too: it has threads
            yield _recompressed(blob, gzip)


def _copied(blob: BlobWriter, media_type: str) -> _Origin:
    def finish(_digest: Digest, _size_bytes: int) -> Descriptor:
        return Descriptor(media_type, *blob.commit())

    return _Origin(finish, stored_copy=blob)


def _recompressed(blob: BlobWriter, gzip: CompressingWriter) -> _Origin:
    def finish(_digest: Digest, _size_bytes: int) -> Descriptor:
        gzip.close()
        return Descriptor(MediaType.OCI_LAYER_GZIP, *blob.commit())

    return _Origin(finish, plain_copy=gzip)


def _media_type_of(source: ImageSource, name: str) -> str:
    """By the first bytes: what a manifest says may be wrong."""
    with source.open(name) as extent:
        return media_type_of(extent.read(MAGIC_BYTES))


def media_type_of(start: bytes) -> str:
    """What a file that begins so is as a layer: OCI_LAYER where it isn't compressed."""
    for magic, media_type in _MAGIC:
        if start.startswith(magic):
            return media_type
    return MediaType.OCI_LAYER


def _check_size(source: ImageSource, layer: SourceLayer) -> None:
    size_bytes = source.size(layer.file_name)
    if layer.blob is not None and size_bytes not in {None, layer.blob.size_bytes}:
        raise _damaged(source.what, layer.blob.digest)


def _check_diff_id(plain: HashingReader, diff_id: Digest) -> None:
    if plain.digest != diff_id:
        raise CorruptContentError(f"a layer unpacks to {plain.digest}, not to {diff_id}")


def _damaged(what: str, digest: Digest) -> CorruptContentError:
    return CorruptContentError(f"{what} is damaged: the blob {digest} has other bytes")


class _Tee:
    """Reads on, and gives a copy of what was read to `copy`."""

    def __init__(self, source: Reader, copy: Writer | None) -> None:
        self._source = source
        self._copy = copy

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if self._copy is not None:
            self._copy.write(data)
        return data


def _drain(source: Reader) -> None:
    while source.read(_CHUNK):
        pass
