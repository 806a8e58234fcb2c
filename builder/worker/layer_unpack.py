"""A layer from elsewhere, unpacked aside: read once, hashed as stored and as plain tar."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from builder.events import Emit, Warned
from builder.image.imagestore import ORIGIN
from builder.image.model import MediaType
from builder.layer.apply import Applied, apply_members
from builder.layer.compress import CompressingWriter, compressor, decompressed
from builder.layer.errors import BadArchiveError
from builder.layer.lowerview import Lowerdirs
from builder.layer.readahead import ReadAhead
from builder.layer.upperdir import Losses
from builder.worker.image_layout import SourceLayer
from builder.worker.image_source import ImageSource
from builder.worker.stored_images import StoreParts
from cache.content.adopt import adopt_file
from cache.content.api import BlobWriter
from cache.descriptor import EMPTY_CHAIN, Descriptor, Layer
from cache.digest import Digest, HashingReader, Reader, Writer
from cache.errors import CorruptContentError, NotFoundError
from cache.record import replace
from cache.snapshot.api import ActiveSnapshot, SnapshotInfo
from cache.snapshot.merge import copy_directory_metadata

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

Check = Callable[[], None]
"""Called again and again; raises where what is going on is to end."""


class UnpackedLayer:
    """A layer that is whole and as it should be, but no snapshot yet. Whoever has it closes it."""

    def __init__(
        self,
        parts: StoreParts,
        unpacked: _Unpacked,
        *,
        aside: ExitStack,
        keep_blob: Callable[[], None] | None = None,
    ) -> None:
        self._parts = parts
        self._unpacked = unpacked
        self._aside = aside
        self._keep_blob = keep_blob

    def commit(self, parent: SnapshotInfo | None) -> SnapshotInfo:
        """Make it a snapshot over `parent`, or over nothing."""
        active, applied = self._unpacked.active, self._unpacked.applied
        if parent is not None:
            if not applied.has_root:
                copy_directory_metadata(parent.diff_dir, active.upperdir)
            active = replace(active, parent=parent.chain_id)
        if self._keep_blob is not None:
            self._keep_blob()
        warn_of_losses(applied.losses, self._parts.emit)
        layer = self._unpacked.layer
        return self._parts.snapshots.commit(
            active, diff_id=layer.diff_id, size_bytes=layer.size_bytes
        )

    def close(self) -> None:
        """Remove what is left of it. Idempotent."""
        self._aside.close()


def unpack_layer(
    parts: StoreParts, source: ImageSource, layer: SourceLayer, below: Lowerdirs, check: Check
) -> UnpackedLayer:
    """Unpack a layer of the source over `below`, and get its blob ready to be kept."""
    _check_size(source, layer)
    with ExitStack() as aside, source.open(layer.file_name) as extent:
        origin = aside.enter_context(_origin(parts, source, layer))
        stored = HashingReader(_Tee(_Checked(extent, check), origin.stored_copy))
        limit_bytes = parts.settings.unpack_limit_bytes
        tar = decompressed(stored, limit_bytes=limit_bytes)
        plain = HashingReader(_Tee(tar, origin.plain_copy))
        try:
            unpacked = _unpacked(parts, plain, layer.diff_id, below, check=check, aside=aside)
        except BadArchiveError:
            _check_blob(source, layer, stored)  # other bytes than the ones that were meant: why
            raise
        _check_blob(source, layer, stored)
        if origin.plain_copy is not None:
            origin.plain_copy.close()  # its threads go, however long the commit has to wait

        def keep_blob() -> None:
            blob = origin.keep(stored.digest, stored.size_bytes)
            parts.images.record_blob(layer.diff_id, ORIGIN, blob)

        return UnpackedLayer(parts, unpacked, aside=aside.pop_all(), keep_blob=keep_blob)
    raise AssertionError("no context here swallows what is raised")


def unpack_again(parts: StoreParts, diff_id: Digest, below: Lowerdirs) -> UnpackedLayer:
    """Unpack a layer whose blob the store has; NotFoundError where it hasn't."""
    blob = parts.images.origin_blob(diff_id)
    if blob is None:
        raise NotFoundError(
            f"the store has lost the layer {diff_id}", hint="build or load its image again"
        )
    with ExitStack() as aside, parts.content.open(blob.digest) as file:
        plain = HashingReader(decompressed(file))
        unpacked = _unpacked(parts, plain, diff_id, below, check=_go_on, aside=aside)
        _drain(file)
        return UnpackedLayer(parts, unpacked, aside=aside.pop_all())
    raise AssertionError("no context here swallows what is raised")


def warn_of_losses(losses: Losses, emit: Emit) -> None:
    """Say what of a layer is not in its snapshot. Its blob still has it."""
    if losses.devices:
        names = ", ".join(losses.devices[:3]) + (", ..." if len(losses.devices) > 3 else "")
        emit(Warned(f"left out {len(losses.devices)} devices ({names}): only root can make them"))
    if losses.owners:
        emit(Warned(f"{losses.owners} files have owners without an id here: they are root's now"))
    if losses.xattrs:
        emit(Warned(f"left out {losses.xattrs} extended attributes that can't be set here"))


@dataclass(frozen=True, slots=True)
class _Unpacked:
    layer: Layer
    active: ActiveSnapshot  # over nothing so far
    applied: Applied


def _unpacked(
    parts: StoreParts,
    plain: HashingReader,
    diff_id: Digest,
    below: Lowerdirs,
    *,
    check: Check,
    aside: ExitStack,
) -> _Unpacked:
    """Unpack a plain tar, which must have this digest; `aside` removes it again."""
    active = parts.snapshots.prepare(EMPTY_CHAIN)
    aside.callback(parts.snapshots.discard, active)
    with ReadAhead(plain) as ahead:
        applied = apply_members(
            _Checked(ahead, check),
            active.upperdir,
            userxattr=active.mount.userxattr,
            lowerdirs=below,
        )
    if plain.digest != diff_id:
        raise CorruptContentError(f"a layer unpacks to {plain.digest}, not to {diff_id}")
    return _Unpacked(Layer(diff_id, plain.size_bytes), active, applied)


def _go_on() -> None:
    """Nothing ends this but an exception."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """How a layer's blob is kept: who gets a copy of the bytes, and what to do when all is read."""

    keep: Callable[[Digest, int], Descriptor]
    stored_copy: Writer | None = None
    plain_copy: CompressingWriter | None = None


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


def _check_blob(source: ImageSource, layer: SourceLayer, stored: HashingReader) -> None:
    """What follows the compressed data belongs to the blob too."""
    _drain(stored)
    if layer.blob is not None and stored.digest != layer.blob.digest:
        raise _damaged(source.what, layer.blob.digest) from None


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


class _Checked:
    """Reads on, until `check` has something against it."""

    def __init__(self, source: Reader, check: Check) -> None:
        self._source = source
        self._check = check

    def read(self, size: int = -1, /) -> bytes:
        self._check()
        return self._source.read(size)


def _drain(source: Reader) -> None:
    while source.read(_CHUNK):
        pass
