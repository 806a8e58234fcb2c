"""Images for a build or a command: found in the store by name, pulled, or taken in from a layout.

What unpacks layers is imported when there is one to unpack: most builds have all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, Self

from builder.errors import UnknownImageError
from builder.frontend.plan import ResolvedImage
from builder.image.errors import InvalidReferenceError
from builder.image.model import Platform, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import Reference, parse_reference
from builder.registry.errors import NotInRegistryError, UnreachableRegistryError
from builder.worker.image_layout import (
    LAYOUT_SCHEME,
    SourceImage,
    config_digest_of,
    image_of_manifest,
    manifest_in_layout,
    parse_layout_reference,
)
from builder.worker.image_source import DirectorySource, ImageSource
from builder.worker.stored_images import StoreParts, find_image, ways_to_get
from cache.descriptor import chain_id, chain_ids
from cache.digest import Digest, sha256_digest
from cache.errors import NotFoundError, PybuildError
from cache.leases import Lease

IMAGE_SCHEME = "docker-image://"


class PullsImages(Protocol):
    """Gets images from registries; see `builder.worker.pull`."""

    def pull_image(self, reference: Reference, platform: Platform, lease: Lease) -> StoredImage:
        """The image, in the store; a PybuildError says why it can't be had."""
        ...


class StoreResolver:
    """The planner's `ImageResolver`: names of images, stored or pulled, and layouts.

    What it gives out is leased: its layers stay while the build runs. `puller` is called when an
    image must be pulled; without one the store is all there is. `always` asks the registry for
    names that the store has, too.
    """

    def __init__(
        self,
        parts: StoreParts,
        lease: Lease,
        puller: Callable[[], PullsImages] | None = None,
        *,
        always: bool = False,
    ) -> None:
        self._parts = parts
        self._lease = lease
        self._puller = puller
        self._always = always
        self._resolved: dict[tuple[str, Platform], ResolvedImage] = {}

    @classmethod
    def of(cls, parts: StoreParts, *, lease: Lease) -> Self:
        """A resolver over an engine's store."""
        return cls(parts, lease)

    def resolve(self, name: str, platform: Platform | None) -> ResolvedImage:
        """As `ImageResolver.resolve`; `platform` None is this machine's."""
        key = (name, platform or host_platform())
        if key not in self._resolved:
            self._resolved[key] = self._resolve(name, key[1], is_asked=platform is not None)
        return self._resolved[key]

    def _resolve(self, name: str, platform: Platform, *, is_asked: bool) -> ResolvedImage:
        if name.startswith(LAYOUT_SCHEME):
            image, digest = load_layout_image(self._parts, name, platform, self._lease)
            return ResolvedImage(name, image.config, digest)
        image = self._image(name.removeprefix(IMAGE_SCHEME), platform, is_asked=is_asked)
        chain = chain_id(image.config.diff_ids)
        self._lease.add("chain", chain)
        if chain and self._parts.snapshots.info(chain) is None:
            from builder.worker.image_layers import restore_layers  # noqa: PLC0415 - see above

            restore_layers(self._parts, image)
        return ResolvedImage(name, image.config)

    def _image(self, name: str, platform: Platform, *, is_asked: bool) -> StoredImage:
        """Of a name that the store knows for another platform, the registry may have ours."""
        stored = self._parts.images.find(name)
        for_platform = self._parts.images.find_for(name, platform) if is_asked else stored
        reference = _pullable(name)
        if for_platform is not None and not (self._always and reference):
            return for_platform
        if self._puller is None or reference is None:
            return self._refused(name, platform, stored)
        try:
            return self._puller().pull_image(reference, platform, self._lease)
        except PybuildError as error:
            if self._always:
                raise
            hint = error.hint
            if isinstance(error, (NotInRegistryError, UnreachableRegistryError)):
                hint = ways_to_get(self._parts, name)
            lack = self._lack(name, platform, stored)
            raise UnknownImageError(f"{lack}, and {error.message}", hint=hint) from error

    def _refused(self, name: str, platform: Platform, stored: StoredImage | None) -> StoredImage:
        if stored is None:
            return find_image(self._parts, name)
        raise UnknownImageError(
            self._lack(name, platform, stored),
            hint="load the image for that platform, or build for the one there is",
        )

    def _lack(self, name: str, platform: Platform, stored: StoredImage | None) -> str:
        if stored is None:
            return f'the store has no image "{name}"'
        return f"the store has {name} for {stored.config.platform}, not for {platform}"


def _pullable(name: str) -> Reference | None:
    """What a registry could be asked for; None for an id."""
    try:
        return parse_reference(name)
    except InvalidReferenceError:
        return None


def load_layout_image(
    parts: StoreParts, reference: str, platform: Platform, lease: Lease
) -> tuple[StoredImage, Digest]:
    """The image that `oci-layout://DIR[:TAG][@DIGEST]` names, in the store, and its manifest.

    Of an image that the store has, only the layout's index and manifest are read.
    """
    wanted = parse_layout_reference(reference)
    if not os.path.isdir(wanted.directory):
        raise UnknownImageError(f"there is no layout {wanted.directory}")
    with DirectorySource(wanted.directory) as source:
        descriptor = manifest_in_layout(source, wanted, platform)
        image = stored_image(parts, config_digest_of(source, descriptor), lease)
        if image is None:
            image = keep_image(parts, source, image_of_manifest(source, descriptor), lease)
    return image, descriptor.digest


def keep_image(
    parts: StoreParts, source: ImageSource, image: SourceImage, lease: Lease
) -> StoredImage:
    """Take an image of the source into the store, its layers with it."""
    from builder.worker.image_layers import keep_layers  # noqa: PLC0415 - see above

    lease.add("image", sha256_digest(image.config_blob))  # until it has its names
    lease.add("chain", *chain_ids(image.config.diff_ids))
    sizes = keep_layers(parts, source, image.layers)
    if image.manifest:
        with parts.content.ingest() as blob:
            blob.write(image.manifest)
            blob.commit()
    return parts.images.adopt(image.config_blob, sizes)


def stored_image(parts: StoreParts, image_id: Digest, lease: Lease) -> StoredImage | None:
    """The image, if the store has it and all of its layers."""
    lease.add("image", image_id)
    try:
        image = parts.images.get(image_id)
    except NotFoundError:
        return None
    chain = chain_id(image.config.diff_ids)
    if not chain:
        return image
    lease.add("chain", chain)
    return image if parts.snapshots.info(chain) is not None else None
