"""Layers as blobs, in the compression that an export asks for.

    a layer from elsewhere     keeps the blob it came in, unless another compression is forced
    a layer made here          is packed from its snapshot when a blob of it is first asked for
    uncompressed               is packed into the export itself and kept nowhere

Whatever is packed is checked against the layer's diff_id on the way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from builder.export.api import Compression
from builder.image.imagestore import ImageStore
from builder.image.model import MediaType, StoredImage
from builder.layer.compress import GZIP_LEVEL, ZSTD_LEVEL, compressor, decompressed
from builder.layer.pack import pack
from builder.layer.readahead import ReadAhead
from cache.content.api import ContentStore
from cache.descriptor import ChainId, Descriptor, Layer, chain_ids
from cache.digest import Digest, HashingWriter, Reader, Writer
from cache.errors import CorruptContentError, NotFoundError
from cache.snapshot.api import Snapshotter

_CHUNK = 1 << 20
_COPIED_BYTES = 1 << 20
_THREADS = 2
"""Layers packed at once; each has threads for hashing and compressing besides."""

_MEDIA_TYPES: dict[Compression, str] = {
    "gzip": MediaType.OCI_LAYER_GZIP,
    "zstd": MediaType.OCI_LAYER_ZSTD,
    "uncompressed": MediaType.OCI_LAYER,
}


@dataclass(frozen=True, slots=True)
class Packing:
    """How layers are to be stored; None: as they came, gzip for those made here."""

    compression: Compression | None = None
    level: int | None = None
    force: bool = False  # the blob that a layer came in as well


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A blob whose name and size are known; `write` writes its bytes, checking them."""

    descriptor: Descriptor
    write: Callable[[Writer], None]


class LayerSink:
    """Where a layer's tar goes; `keep` says that it was whole, and which layer's it is."""

    def __init__(self, target: Writer) -> None:
        self._target = target
        self.layer: Layer | None = None

    def write(self, data: bytes, /) -> None:
        self._target.write(data)

    def keep(self, layer: Layer) -> None:
        """When the block of `LayerBlobs.sink` ends, the blob is kept for this layer."""
        self.layer = layer


class BlobCopy(Protocol):
    """Takes a blob's bytes while it is made; ended by one of the two."""

    def write(self, data: bytes, /) -> object: ...

    def finish(self, digest: Digest) -> None:
        """That was all of it."""
        ...

    def give_up(self) -> None:
        """It comes to nothing."""
        ...


OpenCopy = Callable[[Layer], BlobCopy]


class _Both:
    """Writes to a blob and to its copy."""

    def __init__(self, blob: Writer, copy: BlobCopy) -> None:
        self._blob = blob
        self._copy = copy

    def write(self, data: bytes, /) -> None:
        self._copy.write(data)
        self._blob.write(data)


@contextmanager
def _ending(copy: BlobCopy | None) -> Generator[list[Digest]]:
    """End the copy; with the digest that the block has put into the list, else by giving it up."""
    found: list[Digest] = []
    try:
        yield found
    finally:
        if copy is not None and found:
            copy.finish(found[0])
        elif copy is not None:
            copy.give_up()


@dataclass(frozen=True, slots=True)
class _Source:
    """A layer of the store and where it lies."""

    layer: Layer
    chain: ChainId


class LayerBlobs:
    """Gives blobs of stored layers; safe from several threads."""

    def __init__(
        self, content: ContentStore, snapshots: Snapshotter, images: ImageStore, *, userxattr: bool
    ) -> None:
        self._content = content
        self._snapshots = snapshots
        self._images = images
        self._userxattr = userxattr

    def of(
        self, image: StoredImage, packing: Packing, copy: OpenCopy | None = None
    ) -> tuple[LayerBlob, ...]:
        """A blob for each layer of the image, base first; what isn't packed yet is, in parallel.

        A large blob that is made now goes to a `copy` too.
        """
        sources = _sources(image)
        distinct = {source.layer: source for source in sources}.values()
        pending = [source for source in distinct if not self._known(source, packing)]
        _in_parallel([partial(self._pack, source, packing, copy) for source in pending])
        return tuple(self._blob(source, packing) for source in sources)

    def plain(self, image: StoredImage) -> tuple[LayerBlob, ...]:
        """The layers' plain tars."""
        return tuple(self._plain_blob(source) for source in _sources(image))

    @contextmanager
    def sink(self, packing: Packing, copy: BlobCopy | None = None) -> Generator[LayerSink]:
        """Takes a layer's tar while it is packed for the first time, so that it is packed once.

        What was not kept when the block ends is dropped. The blob's bytes go to `copy`, too.
        """
        compression = packing.compression or "gzip"
        with self._content.ingest() as blob, _ending(copy) as digest_of_copy:
            target = blob if copy is None else _Both(blob, copy)
            compressing = compressor(compression, target, level=packing.level)
            sink = LayerSink(compressing)
            try:
                yield sink
            except BaseException:
                if copy is not None:
                    copy.give_up()  # first: a thread may be waiting for room in it
                raise
            finally:
                compressing.close()  # on failure too: it has threads
            if sink.layer is not None:
                digest, size_bytes = blob.commit()
                descriptor = Descriptor(_MEDIA_TYPES[compression], digest, size_bytes)
                self._images.record_blob(sink.layer.diff_id, _variant(packing), descriptor)
                digest_of_copy.append(digest)

    def _known(self, source: _Source, packing: Packing) -> bool:
        return self._stored(source, packing) is not None or packing.compression == "uncompressed"

    def _stored(self, source: _Source, packing: Packing) -> Descriptor | None:
        origin = self._images.origin_blob(source.layer.diff_id)
        if origin is not None and not packing.force:
            return origin
        if packing.compression == "uncompressed":
            return None
        return self._images.packed_blob(source.layer.diff_id, _variant(packing))

    def _blob(self, source: _Source, packing: Packing) -> LayerBlob:
        stored = self._stored(source, packing)
        if stored is None:
            return self._plain_blob(source)
        return LayerBlob(stored, partial(self._copy, stored))

    def _plain_blob(self, source: _Source) -> LayerBlob:
        layer = source.layer
        descriptor = Descriptor(MediaType.OCI_LAYER, layer.diff_id, layer.size_bytes)
        return LayerBlob(descriptor, partial(self._write_plain, source))

    def _copy(self, blob: Descriptor, target: Writer) -> None:
        # checking what is read and writing it take as long as each other: two threads
        with self._content.open(blob.digest) as file, ReadAhead(file) as ahead:
            _pump(ahead, target)

    def _pack(self, source: _Source, packing: Packing, open_copy: OpenCopy | None) -> None:
        """Keep the layer in this compression."""
        is_large = source.layer.size_bytes >= _COPIED_BYTES
        copy = open_copy(source.layer) if open_copy and is_large else None
        with self.sink(packing, copy) as sink:
            self._write_plain(source, sink)
            sink.keep(source.layer)

    def _write_plain(self, source: _Source, target: Writer) -> None:
        """The layer's tar, packed again; that of a foreign layer is in its own blob alone."""
        origin = self._images.origin_blob(source.layer.diff_id)
        if origin is None:
            found = self._pack_snapshot(source, target)
        else:
            hashing = HashingWriter(target)
            with self._content.open(origin.digest) as file:
                _pump(decompressed(file), hashing)
            found = Layer(hashing.digest, hashing.size_bytes)
        if found != source.layer:
            raise CorruptContentError(
                f"the layer {source.layer.diff_id} is damaged in the store",
                hint="build the image again with --no-cache, or load it again",
            )

    def _pack_snapshot(self, source: _Source, target: Writer) -> Layer:
        snapshot = self._snapshots.info(source.chain)
        if snapshot is None:
            raise NotFoundError(f"the store no longer has the layer {source.layer.diff_id}")
        return pack(snapshot.diff_dir, target, userxattr=self._userxattr)


def _sources(image: StoredImage) -> tuple[_Source, ...]:
    diff_ids = image.config.diff_ids
    layers = (Layer(*pair) for pair in zip(diff_ids, image.layer_sizes, strict=True))
    return tuple(map(_Source, layers, chain_ids(diff_ids)))


def _variant(packing: Packing) -> str:
    compression = packing.compression or "gzip"
    default = ZSTD_LEVEL if compression == "zstd" else GZIP_LEVEL
    return f"{compression}-{default if packing.level is None else packing.level}"


def _pump(source: Reader, target: Writer) -> None:
    while data := source.read(_CHUNK):
        target.write(data)


def _in_parallel(tasks: Sequence[Callable[[], None]]) -> None:
    """Do all tasks, a few at a time; the first error ends it and is raised."""
    waiting = deque(tasks)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                task = waiting.popleft()
            except IndexError:
                return
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                errors.append(error)

    helpers = [
        threading.Thread(target=work, name="pack-layer")
        for _ in range(min(_THREADS, len(tasks)) - 1)
    ]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
