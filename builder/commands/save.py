"""Save: images of the store into one archive or layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from builder.engine import Engine
from builder.export.api import Exported, ExportRequest, NamedImage
from builder.image.reference import parse_reference
from builder.worker.stored_images import find_image
from cache.digest import Digest

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


def save(engine: Engine, request: SaveRequest) -> Exported:
    """Write the images; UnknownImageError where one isn't there, before anything is written."""
    first, *more = _named_images(engine, request.images)
    exporter = engine.exporter(_EXPORTERS[request.format])
    return exporter.export(
        ExportRequest(image=first.image, names=first.names, dest=request.dest, more=tuple(more))
    )


def _named_images(engine: Engine, texts: Sequence[str]) -> list[NamedImage]:
    """Each image once, with all the names that it was asked for by."""
    names: dict[Digest, list[str]] = {}
    for text in texts:
        image = find_image(engine, text)
        asked = names.setdefault(image.image_id, [])
        name = "" if _ID.match(text) or "@" in text else parse_reference(text).normal
        if name in image.names and name not in asked:
            asked.append(name)
    return [
        NamedImage(engine.images.get(image_id), tuple(asked)) for image_id, asked in names.items()
    ]
