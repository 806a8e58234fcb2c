"""Pull: images from a registry into the store."""

from __future__ import annotations

from builder.engine import Engine
from builder.errors import UsageError
from builder.events import Warned
from builder.image.errors import UnsupportedImageError
from builder.image.model import Platform, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import Reference, parse_reference
from builder.runtime.journal import Journal
from builder.worker.image_step import load_layout_image
from builder.worker.pull import Pulled, Puller
from cache.digest import Digest
from cache.leases import Lease
from cache.record import record, replace


@record
class Platforms:
    """Which images to take of a name that has them for several platforms."""

    named: tuple[Platform, ...] = ()  # none: this machine's
    every: bool = False


@record
class PulledImage:
    """A name and what the registry has under it."""

    reference: Reference
    pulled: Pulled


def pull(
    engine: Engine, name: str, platforms: Platforms, *, all_tags: bool = False
) -> tuple[PulledImage, ...]:
    """Get the image `name` means, or with `all_tags` every image of its repository."""
    reference = parse_reference(name)
    puller = Puller(engine, engine.registries())
    with engine.leases.hold() as lease:
        if not all_tags:
            found = (_one(puller, reference, platforms, lease),)
            _note(engine, found)
            return found
        if reference.digest is not None or name.rpartition("/")[2].count(":"):
            raise UsageError(f"--all-tags takes a repository, {name} has a tag or digest")
        several = _all(engine, puller, reference, platforms, lease)
        _note(engine, several)
        return several


def pull_layout(engine: Engine, text: str, platforms: Platforms) -> tuple[StoredImage, Digest]:
    """The image that `oci-layout://DIR[:TAG|@DIGEST]` names, in the store, and its manifest."""
    if platforms.every or len(platforms.named) > 1:
        raise UsageError(
            "of a layout one platform's image is taken", hint="`pybuild load -i DIR` takes several"
        )
    platform = (platforms.named or (host_platform(),))[0]
    with engine.leases.hold() as lease:
        image, digest = load_layout_image(engine, text, platform, lease)
        Journal(engine.state).note("image", "pull", image.image_id, name=text)
    return image, digest


def _note(engine: Engine, found: tuple[PulledImage, ...]) -> None:
    journal = Journal(engine.state)
    for one in found:
        name = one.reference.familiar
        journal.note("image", "pull", name, name=name)


def _one(puller: Puller, reference: Reference, platforms: Platforms, lease: Lease) -> PulledImage:
    named = platforms.named or (host_platform(),)
    return PulledImage(reference, puller.pull(reference, named, lease, every=platforms.every))


def pull_missing(engine: Engine, name: str) -> StoredImage:
    """Get an image that the store lacks, for this machine; UnknownImageError where that fails."""
    from builder.commands.build import resolver_of  # noqa: PLC0415 - `pull` itself resolves nothing

    engine.emit(Warned(f"the store has no image {name}: asking its registry"))
    with engine.leases.hold() as lease:
        resolver_of(engine, lease).resolve(name, None)
        image = engine.images.find(name)
    assert image is not None, "it was resolved just now"
    return image


def _all(
    engine: Engine, puller: Puller, repository: Reference, platforms: Platforms, lease: Lease
) -> tuple[PulledImage, ...]:
    """What is no image for this platform is passed over: signatures have tags as well."""
    found: list[PulledImage] = []
    for tag in sorted(puller.tags(repository)):
        reference = replace(repository, tag=tag)
        try:
            found.append(_one(puller, reference, platforms, lease))
        except UnsupportedImageError as error:
            engine.emit(Warned(f"{reference.familiar} is left out: {error.message}"))
    return tuple(found)
