"""Save: images of the store into one archive or layout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from builder.engine import Engine
from builder.export.api import Exported, ExportRequest, NamedImage
from builder.image.model import Platform
from builder.image.reference import parse_reference
from builder.worker.stored_images import find_image, hold_images, images_of
from cache.digest import Digest
from cache.record import replace

SaveFormat = Literal["docker-archive", "oci-archive", "oci-dir"]

_EXPORTERS: dict[SaveFormat, str] = {
    "docker-archive": "docker",
    "oci-archive": "oci",
    "oci-dir": "oci-dir",
}
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{6,64}\Z")


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """`images` are names or ids; one named by id or digest has no name in the archive."""

    images: tuple[str, ...]
    dest: str  # "-" for stdout
    format: SaveFormat = "docker-archive"
    platform: Platform | None = None  # of a name for several this one; None: the index


def save(engine: Engine, request: SaveRequest) -> Exported:
    """Write the images; UnknownImageError where one isn't there, before anything is written."""
    with engine.leases.hold() as lease:
        for named in _named_images(engine, request):
            hold_images(lease, named.platforms or (named.image,))
        first, *more = _named_images(engine, request)  # what was there is held now
        return engine.exporter(_EXPORTERS[request.format]).export(
            ExportRequest(
                image=first.image,
                names=first.names,
                platforms=first.platforms,
                dest=request.dest,
                more=tuple(more),
            )
        )


def _named_images(engine: Engine, request: SaveRequest) -> list[NamedImage]:
    """Each image, or set of images, once, with all the names that it was asked for by."""
    found: dict[tuple[Digest, ...], NamedImage] = {}
    for text in request.images:
        image = find_image(engine, text, request.platform)
        platforms = () if request.platform else images_of(engine, text)
        key = tuple(one.image_id for one in platforms or (image,))
        known = found.get(key) or NamedImage(image, (), platforms)
        name = "" if _ID.match(text) or "@" in text else parse_reference(text).normal
        if name in image.names and name not in known.names:
            known = replace(known, names=(*known.names, name))
        found[key] = known
    return list(found.values())
