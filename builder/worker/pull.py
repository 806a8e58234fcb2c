"""Images from registries into the store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from builder.events import StepFailed, StepFinished, StepStarted
from builder.image.codec import FOREIGN_TYPES, INDEX_TYPES, decode_index, decode_manifest
from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.imagestore import best_for, stored_name
from builder.image.model import Manifest, Platform, StoredImage
from builder.image.platform import choose_manifest, host_platform, offered_platforms
from builder.image.reference import Reference
from builder.registry.errors import RegistryError
from builder.registry.registries import Registries
from builder.registry.repository import FetchedManifest, Repository
from builder.worker.image_layers import missing_layers
from builder.worker.image_layout import SourceLayer, image_of_manifest
from builder.worker.image_registry import RegistrySource
from builder.worker.image_step import keep_image, stored_image
from builder.worker.stored_images import StoreParts
from cache.descriptor import Descriptor
from cache.digest import Digest
from cache.errors import CorruptContentError, NotFoundError, PybuildError
from cache.leases import Lease
from cache.record import record, replace

_INDEX_DEPTH = 4
_CHUNK = 1 << 20
_PULL_ATTEMPTS = 2  # where a blob came with other bytes


@record
class Pulled:
    """What a registry has under a name."""

    images: tuple[StoredImage, ...]  # one for each platform that was asked for
    digest: Digest  # of what the name stands for there: an index or a manifest
    is_new: bool  # something was downloaded, or the name stood for something else


class Puller:
    """Pulls into one store."""

    def __init__(self, parts: StoreParts, registries: Registries) -> None:
        self._parts = parts
        self._registries = registries

    def pull(
        self,
        reference: Reference,
        platforms: Sequence[Platform],
        lease: Lease,
        *,
        every: bool = False,
    ) -> Pulled:
        """Take the image in, of one for several platforms those for `platforms`, and name it.

        `every` takes all that the index has. Of what the store has nothing is fetched again.
        """
        repository, top = self._found(reference)
        if every:
            platforms = _platforms_in(top) or platforms
        images: dict[Platform, StoredImage] = {}
        for platform in platforms:
            documents = tuple(_documents(repository, top, platform))
            image = self._image(repository, documents[-1], lease)
            images[_platform_said(documents) or image.config.platform] = image
            for document in documents:
                self._keep(document)
        digest_name = f"{reference.repository}@{top.descriptor.digest}"
        names = {stored_name(reference), digest_name}
        is_new = not all(names <= set(image.names) for image in images.values())
        with self._parts.state.lock(f"name {reference.repository}"):  # two may add to one
            for name in sorted(names):
                self._name(name, images, digest_name)
        named = tuple(self._parts.images.get(image.image_id) for image in images.values())
        return Pulled(named, top.descriptor.digest, is_new)

    def _name(self, name: str, images: Mapping[Platform, StoredImage], digest_name: str) -> None:
        """Those that came under the name from the same index before keep it, too."""
        store = self._parts.images
        known = store.platforms(name).items()
        kept = {platform: image for platform, image in known if digest_name in image.names}
        now = {**kept, **images}
        meant = best_for(now, host_platform()) or next(iter(images.values()))
        store.tag_platforms(name, now, meant)

    def pull_image(self, reference: Reference, platform: Platform, lease: Lease) -> StoredImage:
        """As `pull`; shown as one step, since it is one of a build."""
        vertex, started = f"pull {reference.normal}", time.monotonic()
        self._parts.emit(StepStarted(vertex, f"pull {reference.familiar}"))
        try:
            pulled = self.pull(reference, [platform], lease)
        except PybuildError as error:
            seconds = time.monotonic() - started
            self._parts.emit(StepFailed(vertex, seconds, error.message))
            raise
        self._parts.emit(StepFinished(vertex, time.monotonic() - started))
        return pulled.images[0]

    def tags(self, reference: Reference) -> tuple[str, ...]:
        """All tags of the repository."""
        *_, own = self._registries.for_reading(reference)
        return own.tags()

    def _found(self, reference: Reference) -> tuple[Repository, FetchedManifest]:
        """The first of mirrors and registry that has it."""
        *mirrors, own = self._registries.for_reading(reference)
        asked = reference.digest or reference.tag
        for mirror in mirrors:
            try:
                return mirror, mirror.manifest(asked)
            except (RegistryError, CorruptContentError):
                continue  # what is wrong with a mirror is not the user's affair
        return own, own.manifest(asked)

    def _image(self, repository: Repository, fetched: FetchedManifest, lease: Lease) -> StoredImage:
        descriptor = _typed(fetched)
        manifest = decode_manifest(fetched.blob, media_type=descriptor.media_type)
        known = stored_image(self._parts, manifest.config.digest, lease)
        if known is not None:
            return known
        for attempt in range(1, _PULL_ATTEMPTS + 1):
            try:
                return self._downloaded(repository, fetched, descriptor, manifest.config, lease)
            except CorruptContentError:
                if attempt == _PULL_ATTEMPTS:
                    raise
                self._drop_damaged(manifest)
        raise AssertionError("the last attempt returns or raises")

    def _downloaded(
        self,
        repository: Repository,
        fetched: FetchedManifest,
        descriptor: Descriptor,
        config: Descriptor,
        lease: Lease,
    ) -> StoredImage:
        with RegistrySource(self._parts.state, repository, self._parts.emit) as source:
            source.add_document(fetched.blob)
            source.fetch_document(config)
            image = image_of_manifest(source, descriptor)
            blobs = [layer.blob for layer in image.layers if layer.blob is not None]
            lease.add("blob", *(blob.digest for blob in blobs))
            missing = missing_layers(self._parts, image.layers)
            _check_foreign(repository, missing)
            source.start(layer.blob for layer in missing if layer.blob is not None)
            return keep_image(self._parts, source, image, lease)

    def _drop_damaged(self, manifest: Manifest) -> None:
        """A blob that the store has is not fetched: its bytes must be the right ones."""
        for layer in manifest.layers:
            try:
                with self._parts.content.open(layer.digest) as file:
                    while file.read(_CHUNK):
                        pass
            except NotFoundError:
                continue
            except CorruptContentError:
                self._parts.content.delete(layer.digest)

    def _keep(self, document: FetchedManifest) -> None:
        with self._parts.content.ingest() as blob:
            blob.write(document.blob)
            blob.commit(document.descriptor.digest)


def _documents(
    repository: Repository, top: FetchedManifest, platform: Platform
) -> Iterator[FetchedManifest]:
    """From what the name stands for down to the manifest for the platform."""
    document = top
    for _ in range(_INDEX_DEPTH):
        yield document
        if not _is_index(document):
            return
        index = decode_index(document.blob, media_type=document.descriptor.media_type)
        chosen = choose_manifest(index, platform)
        document = repository.manifest(chosen.digest)
        if document.descriptor.size_bytes != chosen.size_bytes:
            raise CorruptContentError(
                f"{repository.name}: the manifest {chosen.digest} has "
                f"{document.descriptor.size_bytes:,} bytes, its index says {chosen.size_bytes:,}"
            )
        document = replace(document, descriptor=chosen)
    raise InvalidImageError(f"{repository.name} has indexes within indexes within indexes")


def _platform_said(documents: Sequence[FetchedManifest]) -> Platform | None:
    """What the index says that its manifest is for."""
    if len(documents) < 2:
        return None
    index, manifest = documents[-2:]
    entries = decode_index(index.blob, media_type=index.descriptor.media_type).manifests
    digest = manifest.descriptor.digest
    return next((one.platform for one in entries if one.descriptor.digest == digest), None)


def _platforms_in(document: FetchedManifest) -> tuple[Platform, ...]:
    """What an index has images for; () for a manifest."""
    if not _is_index(document):
        return ()
    index = decode_index(document.blob, media_type=document.descriptor.media_type)
    return offered_platforms(index)


def _is_index(document: FetchedManifest) -> bool:
    media_type = document.descriptor.media_type
    return media_type in INDEX_TYPES if media_type else b'"manifests"' in document.blob


def _check_foreign(repository: Repository, layers: Sequence[SourceLayer]) -> None:
    """What is not in the registry is not fetched from wherever a manifest says."""
    for layer in layers:
        blob = layer.blob
        if blob and blob.media_type in FOREIGN_TYPES and not repository.has_blob(blob.digest):
            raise UnsupportedImageError(
                f"the layer {blob.digest} is foreign, and {repository.name} does not have it",
                hint="its bytes lie where the manifest's urls say, mostly because of a licence; "
                "pybuild fetches from registries alone",
            )


def _typed(fetched: FetchedManifest) -> Descriptor:
    return replace(fetched.descriptor, annotations=())
