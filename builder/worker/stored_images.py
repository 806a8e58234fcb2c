"""Images that the store has, by the names that users give them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from builder.errors import UnknownImageError
from builder.events import Emit
from builder.image.errors import InvalidReferenceError
from builder.image.imagestore import ImageStore, stored_name
from builder.image.model import Platform, StoredImage
from builder.image.reference import parse_reference
from builder.settings import Settings
from cache.content.api import ContentStore
from cache.descriptor import chain_id
from cache.leases import Lease
from cache.snapshot.api import Snapshotter
from cache.statedir import StateDir


class StoreParts(Protocol):
    """The parts of the store that images are kept in; an Engine has them."""

    @property
    def settings(self) -> Settings: ...
    @property
    def state(self) -> StateDir: ...
    @property
    def content(self) -> ContentStore: ...
    @property
    def snapshots(self) -> Snapshotter: ...
    @property
    def images(self) -> ImageStore: ...
    @property
    def emit(self) -> Emit: ...


def find_image(parts: StoreParts, name: str, platform: Platform | None = None) -> StoredImage:
    """The stored image that `name` means; UnknownImageError says how to get one.

    Of a name for several platforms the one for `platform`: this machine's, if it is None.
    """
    image = parts.images.find(name)
    if image is None:
        raise UnknownImageError(f'the store has no image "{name}"', hint=ways_to_get(parts, name))
    if platform is None:
        return image
    found = parts.images.find_for(name, platform)
    if found is None:
        offered = ", ".join(map(str, platforms_of(parts, name) or [image.config.platform]))
        raise UnknownImageError(
            f"the store has {name} for {offered}, not for {platform}",
            hint=f"pybuild pull --platform {platform} {name}",
        )
    return found


def platforms_of(parts: StoreParts, name: str) -> dict[Platform, StoredImage]:
    """The images of a name for several platforms; none for what names one image."""
    try:
        images = parts.images.platforms(stored_name(parse_reference(name)))
    except InvalidReferenceError:
        return {}
    return images if len(images) > 1 else {}


def images_of(parts: StoreParts, name: str) -> tuple[StoredImage, ...]:
    """As `platforms_of`, the images alone: what an index of the name is made of."""
    return tuple(platforms_of(parts, name).values())


def ways_to_get(parts: StoreParts, name: str) -> str:
    """A hint for whoever misses an image."""
    near = _nearest(parts, name)
    ways = (
        "`pybuild pull` gets images from a registry; `load`, `import` and `bootstrap` make them"
        f" without one, and so does --build-context {name}=oci-layout://DIR"
    )
    return f'did you mean "{near}"? Else: {ways}' if near else ways


def _nearest(parts: StoreParts, name: str) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - for a failing command only

    stored = [parse_reference(known).familiar for known in parts.images.names() if "@" not in known]
    try:
        name = parse_reference(name).familiar
    except InvalidReferenceError:
        return None
    return next(iter(get_close_matches(name, stored, n=1)), None)


def hold_images(lease: Lease, images: Iterable[StoredImage]) -> None:
    """Have no prune take them, though they lose their names meanwhile; look for them again after.

    What was taken before that is missed then, and nothing half.
    """
    for image in images:
        lease.add("image", image.image_id)
        lease.add("chain", chain_id(image.config.diff_ids))
