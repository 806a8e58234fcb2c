"""An image into registries: type=registry, and `push`.

A manifest that the image came with is sent as it is, so that the image keeps its digest, where its
blobs can be had: they are in the store, in the registry already, or can be mounted there from the
repository that they came from. Else a new manifest is made over the layers as the store has them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import Self

from builder.errors import UsageError
from builder.events import Emit, StepFailed, StepFinished, StepProgress, StepStarted
from builder.export.api import Exported, ExportRequest
from builder.export.blobs import LayerBlob, LayerBlobs, Packing
from builder.image.codec import encode_index, encode_manifest, referrer_of, subject_of
from builder.image.imagestore import ImageStore
from builder.image.kept import KeptManifest, kept_indexes, kept_manifests
from builder.image.model import Index, IndexEntry, Manifest, MediaType, StoredImage
from builder.image.platform import normalised
from builder.image.reference import Reference, parse_reference
from builder.registry.referrers import attach
from builder.registry.registries import Registries
from builder.registry.repository import Repository
from builder.registry.upload import OpenBlob, put_blob
from builder.registry.upload_stream import StreamedUpload
from cache.content.api import ContentStore
from cache.descriptor import Descriptor, Layer
from cache.digest import Digest, Reader, Writer, hex_of, sha256_digest
from cache.errors import PybuildError
from cache.record import record, replace

_THREADS = 4
_PROGRESS_BYTES = 1 << 20
_MOUNT_LIMIT = 3  # repositories that are asked for one blob


class _CancelledError(Exception):
    """Another blob has failed: this one isn't needed."""


@record
class _Content:
    """A manifest and what it names."""

    blob: bytes
    manifest: Manifest
    openers: dict[Digest, OpenBlob]  # those blobs whose bytes the store has


class RegistryExporter:
    """Pushes to each of the request's names; `dest` is not looked at."""

    def __init__(
        self,
        content: ContentStore,
        images: ImageStore,
        blobs: LayerBlobs,
        registries: Registries,
        emit: Emit,
    ) -> None:
        self._content = content
        self._images = images
        self._blobs = blobs
        self._registries = registries
        self._emit = emit

    def export(self, request: ExportRequest) -> Exported:
        if not request.names:
            raise UsageError(
                "a pushed image needs a name", hint="-t NAME, or --output type=registry,name=NAME"
            )
        references = [parse_reference(name) for name in request.names]
        digest = ""
        for reference in references:
            if reference.digest is not None:
                raise UsageError(f"{reference.familiar} is a digest: push to a tag")
            digest = self._push(request, reference)
        return Exported(", ".join(one.familiar for one in references), digest)

    def _push(self, request: ExportRequest, reference: Reference) -> Digest:
        repository = self._registries.for_writing(reference)
        if request.platforms:
            return self._push_index(request, repository, reference)
        tag = "" if request.by_digest else reference.tag
        pushed = self._push_image(request, repository, reference, tag=tag)
        self._images.tag(f"{reference.repository}@{pushed.digest}", request.image.image_id)
        return pushed.digest

    def _push_index(
        self, request: ExportRequest, repository: Repository, reference: Reference
    ) -> Digest:
        """Each platform's manifest by its digest, then the index that names them."""
        entries: list[IndexEntry] = []
        for image in request.platforms:
            one = replace(request, image=image, platforms=())
            pushed = self._push_image(one, repository, reference, tag="")
            entries.append(IndexEntry(pushed, normalised(image.config.platform)))
        kept = None if request.index_annotations else self._kept_index(request, entries)
        media_type, blob = kept or (
            MediaType.OCI_INDEX,
            encode_index(Index(MediaType.OCI_INDEX, tuple(entries), request.index_annotations)),
        )
        stored_as = sha256_digest(blob) if request.by_digest else reference.tag
        digest = repository.put_manifest(stored_as, media_type, blob)
        self._keep(blob)
        name = f"{reference.repository}@{digest}"
        by_platform = {image.config.platform: image for image in request.platforms}
        self._images.tag_platforms(name, by_platform, request.image)
        return digest

    def _kept_index(
        self, request: ExportRequest, entries: Sequence[IndexEntry]
    ) -> tuple[str, bytes] | None:
        """An index that the images came with, if it names these manifests and no others."""
        pushed = [entry.descriptor.digest for entry in entries]
        for blob, index in kept_indexes(self._content, request.image):
            if sorted(entry.descriptor.digest for entry in index.manifests) == sorted(pushed):
                return index.media_type, blob
        return None

    def _push_image(
        self, request: ExportRequest, repository: Repository, reference: Reference, *, tag: str
    ) -> Descriptor:
        """Blobs and manifest; without a tag, under its digest."""
        content = self._kept_content(request, repository)
        content = content or self._new_content(request, repository)
        config, layers = content.manifest.config, content.manifest.layers
        push = _Push(repository, content, self._mounts(request.image, reference), self._emit)
        push.blobs(dict.fromkeys((*layers, config)))
        media_type = content.manifest.media_type
        stored_as = tag or sha256_digest(content.blob)
        digest, is_attached = repository.store_manifest(stored_as, media_type, content.blob)
        descriptor = Descriptor(media_type, digest, len(content.blob))
        subject = subject_of(content.blob)
        if subject is not None and not is_attached:
            attach(repository, subject, referrer_of(content.blob, descriptor))
        self._keep(content.blob)
        return descriptor

    def _keep(self, manifest: bytes) -> None:
        with self._content.ingest() as blob:
            blob.write(manifest)
            blob.commit()

    def _kept_content(self, request: ExportRequest, repository: Repository) -> _Content | None:
        """The manifest that the image came with, if that is what is asked for."""
        if request.force_compression or request.annotations:
            return None
        if request.compression and not self._is_foreign(request.image):
            return None
        kept = list(kept_manifests(self._content, request.image))
        kept.sort(key=lambda one: one.origin.repository != repository.name)
        for one in kept:
            content = _Content(one.blob, one.manifest, self._openers(one))
            lacking = {blob.digest for blob in one.manifest.layers} - content.openers.keys()
            is_near = one.origin.repository == repository.name
            if not lacking or (is_near and all(map(repository.has_blob, lacking))):
                return content
        return None

    def _is_foreign(self, image: StoredImage) -> bool:
        """Whether no layer was made here: then there is nothing to compress."""
        return all(self._images.origin_blob(diff_id) for diff_id in image.config.diff_ids)

    def _openers(self, kept: KeptManifest) -> dict[Digest, OpenBlob]:
        blobs = (kept.manifest.config, *kept.manifest.layers)
        return {
            blob.digest: partial(self._content.open, blob.digest)
            for blob in blobs
            if self._content.size(blob.digest) == blob.size_bytes
        }

    def _new_content(self, request: ExportRequest, repository: Repository) -> _Content:
        """Layers that were never compressed are sent while they are."""
        image = request.image
        packing = Packing(
            request.compression, request.compression_level, force=request.force_compression
        )
        with _Streaming(repository, self._emit) as streaming:
            layers = self._blobs.of(image, packing, streaming.open)
        config = self._content.read(image.image_id)
        manifest = Manifest(
            media_type=MediaType.OCI_MANIFEST,
            config=Descriptor(MediaType.OCI_CONFIG, image.image_id, len(config)),
            layers=tuple(layer.descriptor for layer in layers),
            annotations=request.annotations,
        )
        openers: dict[Digest, OpenBlob] = {
            layer.descriptor.digest: self._opener(layer) for layer in layers
        }
        openers[image.image_id] = partial(BytesIO, config)
        return _Content(encode_manifest(manifest), manifest, openers)

    def _opener(self, layer: LayerBlob) -> OpenBlob:
        digest = layer.descriptor.digest
        if self._content.size(digest) is not None:
            return partial(self._content.open, digest)
        return partial(_piped, layer.write)

    def _mounts(self, image: StoredImage, target: Reference) -> tuple[str, ...]:
        """Other repositories of the same registry that may have the image's layers."""
        others: Iterable[Reference] = map(parse_reference, _related(self._images, image))
        paths = {one.path for one in others if one.domain == target.domain and one.digest}
        return tuple(sorted(paths - {target.path}))[:_MOUNT_LIMIT]


def _related(images: ImageStore, image: StoredImage) -> Iterator[str]:
    """Names of images that share the first layer, this one's first."""
    yield from image.names
    first = image.config.diff_ids[:1]
    for other in images.list() if first else ():
        if other.config.diff_ids[:1] == first:
            yield from other.names


class _Streaming:
    """Sends new layers while they are packed. A `with` block, which ends what was not finished."""

    def __init__(self, repository: Repository, emit: Emit) -> None:
        self._repository = repository
        self._emit = emit
        self._given_up = threading.Event()

    def open(self, layer: Layer) -> StreamedUpload:
        """As `OpenCopy`."""
        vertex = f"pack {layer.diff_id}"
        told = 0

        def tell(done_bytes: int) -> None:
            nonlocal told
            if done_bytes - told >= _PROGRESS_BYTES:
                told = done_bytes
                self._emit(StepProgress(vertex, "pushing", done_bytes, 0))

        self._emit(StepStarted(vertex, f"pack {hex_of(layer.diff_id)[:12]}"))
        started = time.monotonic()
        return StreamedUpload(
            self._repository,
            tell,
            ended=lambda: self._emit(StepFinished(vertex, time.monotonic() - started)),
            given_up=self._given_up,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._given_up.set()


class _Push:
    """One image's blobs into one repository."""

    def __init__(
        self, repository: Repository, content: _Content, mounts: Sequence[str], emit: Emit
    ) -> None:
        self._repository = repository
        self._content = content
        self._mounts = mounts
        self._emit = emit
        self._failed = threading.Event()

    def blobs(self, blobs: Iterable[Descriptor]) -> None:
        """Several at a time; the first error ends it and is raised."""
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="push")
        try:
            for _ in pool.map(self._blob, blobs):
                pass
        except BaseException as error:
            self._failed.set()
            # who interrupts waits for no server that is silent: its thread ends with the process
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()

    def _blob(self, blob: Descriptor) -> None:
        if self._failed.is_set():
            return
        vertex, started = f"push {blob.digest}", time.monotonic()
        is_config = blob.digest == self._content.manifest.config.digest
        what = "config" if is_config else "layer"
        self._emit(StepStarted(vertex, f"{what} {hex_of(blob.digest)[:12]}"))
        told = 0

        def tell(done_bytes: int) -> None:
            nonlocal told
            if self._failed.is_set():
                raise _CancelledError
            if done_bytes - told >= _PROGRESS_BYTES:
                told = done_bytes
                self._emit(StepProgress(vertex, "pushing", done_bytes, blob.size_bytes))

        open_blob = self._content.openers.get(blob.digest)
        try:
            if open_blob is not None:
                put_blob(
                    self._repository,
                    blob,
                    open_blob,
                    mount_from=() if is_config else self._mounts,
                    tell=tell,
                )
        except _CancelledError:
            return
        except PybuildError as error:
            self._failed.set()
            self._emit(StepFailed(vertex, time.monotonic() - started, error.message))
            raise
        except BaseException:
            self._failed.set()
            raise
        self._emit(StepFinished(vertex, time.monotonic() - started))


@contextmanager
def _piped(write: Callable[[Writer], None]) -> Generator[Reader]:
    """What `write` writes, for reading; it runs in a thread of its own, no further than needed."""
    read_fd, write_fd = os.pipe()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with open(write_fd, "wb") as pipe:
                write(pipe)
        except BaseException as error:  # noqa: BLE001 - raised by whoever reads
            errors.append(error)

    thread = threading.Thread(target=run, name="pack", daemon=True)
    with open(read_fd, "rb", buffering=0) as source:
        thread.start()
        try:
            yield _Piped(source, thread, errors)
        finally:
            source.close()  # what is still written breaks off
            thread.join()


class _Piped:
    """The reading end; raises what the writing end has raised."""

    def __init__(
        self, source: Reader, thread: threading.Thread, errors: list[BaseException]
    ) -> None:
        self._source = source
        self._thread = thread
        self._errors = errors

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if not data:
            self._thread.join()
            if self._errors:
                raise self._errors[0]
        return data
