"""Push: images of the store to the registries that their names say, or to a layout."""

from __future__ import annotations

from builder.engine import Engine
from builder.errors import UnknownImageError, UsageError
from builder.export.api import Compression, ExportRequest
from builder.image.model import Platform, StoredImage
from builder.image.reference import Reference, parse_reference
from builder.runtime.journal import Journal
from builder.worker.image_layout import LAYOUT_SCHEME, parse_layout_reference
from builder.worker.stored_images import find_image, hold_images, images_of
from cache.record import record, replace

_REGISTRY_SCHEME = "docker://"


@record
class PushRequest:
    """What to push, and how its layers are to be stored there."""

    name: str
    dest: str = ""  # another name, or oci-layout://DIR[:TAG]; "": the name's own registry
    all_tags: bool = False
    platform: Platform | None = None  # of a name for several this one; None: the index
    compression: Compression | None = None
    compression_level: int | None = None
    force_compression: bool = False


@record
class PushedImage:
    """Where an image is now, and the digest of its manifest."""

    reference: Reference
    digest: str


def push(engine: Engine, request: PushRequest) -> tuple[PushedImage, ...]:
    """Send the image `name` means, or with `all_tags` every tag of its repository.

    A name for several platforms is sent as an index of them all.
    """
    pushed: list[PushedImage] = []
    with engine.leases.hold() as lease:
        for reference, image in _images(engine, request):
            platforms = () if request.platform else images_of(engine, reference.normal)
            hold_images(lease, platforms or (image,))
        for reference, image in _images(engine, request):  # what was there is held now
            pushed.append(_pushed(engine, request, reference, image))
            name = pushed[-1].reference.familiar
            Journal(engine.state).note("image", "push", name, name=name)
    return tuple(pushed)


def _pushed(
    engine: Engine, request: PushRequest, reference: Reference, image: StoredImage
) -> PushedImage:
    goal = _goal(request.dest, reference)
    exported = engine.exporter(goal.exporter).export(
        ExportRequest(
            image=image,
            names=(goal.reference.normal,),
            dest=goal.directory,
            platforms=() if request.platform else images_of(engine, reference.normal),
            compression=request.compression,
            compression_level=request.compression_level,
            force_compression=request.force_compression,
        )
    )
    return PushedImage(goal.reference, exported.digest)


@record
class _Goal:
    """Where an image goes, and what it is called there."""

    exporter: str
    reference: Reference
    directory: str = ""


def _goal(dest: str, reference: Reference) -> _Goal:
    if dest.startswith(LAYOUT_SCHEME):
        place = parse_layout_reference(dest)
        if place.digest is not None:
            raise UsageError("a digest cannot be chosen", hint="oci-layout://DIR[:TAG]")
        named = replace(reference, tag=place.tag, digest=None) if place.tag else reference
        return _Goal("oci-dir", named, place.directory)
    name = dest.removeprefix(_REGISTRY_SCHEME)
    return _Goal("registry", parse_reference(name) if name else reference)


def _images(engine: Engine, request: PushRequest) -> list[tuple[Reference, StoredImage]]:
    reference = parse_reference(request.name)
    if request.all_tags and request.dest:
        raise UsageError("--all-tags and another destination exclude each other")
    if not request.all_tags:
        return [(reference, find_image(engine, reference.normal, request.platform))]
    if reference.digest is not None or ":" in request.name.rpartition("/")[2]:
        raise UsageError(f"--all-tags takes a repository, {request.name} has a tag or digest")
    known = (parse_reference(name) for name in engine.images.names())
    tagged = [one for one in known if one.repository == reference.repository and one.tag]
    if not tagged:
        raise UnknownImageError(f"the store has no tag of {reference.familiar_repository}")
    return [(one, find_image(engine, one.normal, request.platform)) for one in tagged]
