"""The interface of an exporter: takes one image out of the store."""

from __future__ import annotations

from typing import Literal, Protocol

from builder.image.model import StoredImage
from cache.record import record

Compression = Literal["gzip", "zstd", "uncompressed"]


@record
class NamedImage:
    """An image and what it is called there, in normal forms: docker.io/library/app:latest."""

    image: StoredImage
    names: tuple[str, ...]
    platforms: tuple[StoredImage, ...] = ()  # for an index: its images, `image` among them


@record
class ExportRequest:
    """What to write and where to."""

    image: StoredImage
    names: tuple[str, ...]  # normal forms: docker.io/library/app:latest
    dest: str  # a path; "-" for stdout
    compression: Compression | None = (
        None  # None: the exporter's default; blobs that came with an image stay
    )
    compression_level: int | None = None
    force_compression: bool = False
    annotations: tuple[tuple[str, str], ...] = ()  # of the manifests
    index_annotations: tuple[tuple[str, str], ...] = ()
    by_digest: bool = False  # push under no tag
    more: tuple[NamedImage, ...] = ()  # for what can hold several images: archives and layouts
    platforms: tuple[StoredImage, ...] = ()  # for an index: its images, `image` among them

    @property
    def images(self) -> tuple[NamedImage, ...]:
        """All of them."""
        return (NamedImage(self.image, self.names, self.platforms), *self.more)


@record
class Exported:
    """Where it went; `digest` of the manifest or index where the format has one."""

    dest: str
    digest: str = ""


class Exporter(Protocol):
    """Writes aside and renames: `dest` holds the whole image or what it held before."""

    def export(self, request: ExportRequest) -> Exported: ...
