"""Images for a build or a command: found in the store by name, or taken in from a layout.

What unpacks layers is imported when there is one to unpack: most builds have all of them.
"""

from __future__ import annotations

import os
from typing import Self

from builder.errors import UnknownImageError
from builder.frontend.plan import ResolvedImage
from builder.image.model import Platform, StoredImage
from builder.image.platform import host_platform, serves
from builder.worker.image_layout import (
    LAYOUT_SCHEME,
    SourceImage,
    config_digest_of,
    image_of_manifest,
    manifest_in_layout,
    parse_layout_reference,
)
from builder.worker.image_source import DirectorySource, ImageSource
from builder.worker.stored_images import StoreParts, find_image
from cache.descriptor import chain_id, chain_ids
from cache.digest import Digest
from cache.errors import NotFoundError
from cache.leases import Lease

IMAGE_SCHEME = "docker-image://"


class StoreResolver:
    """The planner's `ImageResolver`: names of stored images, and layouts, which are taken in.

    What it gives out is leased: its layers stay while the build runs.
    """

    def __init__(self, parts: StoreParts, lease: Lease) -> None:
        self._parts = parts
        self._lease = lease
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
        image = find_image(self._parts, name.removeprefix(IMAGE_SCHEME))
        if is_asked and not serves(image.config.platform, platform):
            raise UnknownImageError(
                f"the store has {name} for {image.config.platform}, not for {platform}",
                hint="load the image for that platform, or build for the one there is",
            )
        chain = chain_id(image.config.diff_ids)
        self._lease.add("chain", chain)
        if chain and self._parts.snapshots.info(chain) is None:
            from builder.worker.image_layers import restore_layers  # noqa: PLC0415 - see above

            restore_layers(self._parts, image)
        return ResolvedImage(name, image.config)


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
        image = _stored(parts, config_digest_of(source, descriptor), lease)
        if image is None:
            image = keep_image(parts, source, image_of_manifest(source, descriptor), lease)
    return image, descriptor.digest


def keep_image(
    parts: StoreParts, source: ImageSource, image: SourceImage, lease: Lease
) -> StoredImage:
    """Take an image of the source into the store, its layers with it."""
    from builder.worker.image_layers import keep_layers  # noqa: PLC0415 - see above

    lease.add("chain", *chain_ids(image.config.diff_ids))
    sizes = keep_layers(parts, source, image.layers)
    return parts.images.adopt(image.config_blob, sizes)


def _stored(parts: StoreParts, image_id: Digest, lease: Lease) -> StoredImage | None:
    """The image, if the store has it and all of its layers."""
    try:
        image = parts.images.get(image_id)
    except NotFoundError:
        return None
    chain = chain_id(image.config.diff_ids)
    if not chain:
        return image
    lease.add("chain", chain)
    return image if parts.snapshots.info(chain) is not None else None
