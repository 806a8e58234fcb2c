"""Images and indexes as an OCI layout, in a tar archive or a directory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from builder.export.api import Exported, ExportRequest, NamedImage
from builder.export.archive import ArchiveWriter
from builder.export.blobs import LayerBlob, LayerBlobs, Packing
from builder.export.layout import (
    LayoutImage,
    layout_image,
    layout_index,
    tags_collide,
    write_layout,
)
from builder.export.layoutdir import add_to_directory
from builder.export.output import STDOUT, open_output
from builder.image.kept import kept_indexes, kept_manifests
from builder.image.model import MediaType, StoredImage
from cache.content.api import ContentStore


class OciLayoutExporter:
    """type=oci: a tar archive at `dest`, or a layout's directory that the image is added to.

    A `dest` that is a directory is one without being told so.
    """

    def __init__(
        self, content: ContentStore, blobs: LayerBlobs, *, as_directory: bool = False
    ) -> None:
        self._content = content
        self._blobs = blobs
        self._as_directory = as_directory

    def export(self, request: ExportRequest) -> Exported:
        qualified = tags_collide(named.names for named in request.images)
        images = [self._prepare(named, request, qualified=qualified) for named in request.images]
        if self._as_directory or (request.dest != STDOUT and os.path.isdir(request.dest)):
            for image in images:
                add_to_directory(request.dest, image)
        else:
            with open_output(request.dest) as file:
                archive = ArchiveWriter(file)
                write_layout(archive, images)
                archive.finish()
        return Exported(dest=request.dest, digest=images[0].manifest_digest)

    def _prepare(
        self, named: NamedImage, request: ExportRequest, *, qualified: bool
    ) -> LayoutImage:
        if not named.platforms:
            return self._image(named.image, named.names, request, qualified=qualified)
        images = [self._image(one, (), request, qualified=False) for one in named.platforms]
        return layout_index(
            images,
            names=named.names,
            annotations=request.index_annotations,
            qualified=qualified,
            kept=b"" if request.index_annotations else self._kept_index(named.image, images),
        )

    def _kept_index(self, image: StoredImage, images: list[LayoutImage]) -> bytes:
        """The index that they came with, so that its digest stays; b"" where there is none."""
        wanted = sorted(one.manifest_digest for one in images)
        for blob, index in kept_indexes(self._content, image):
            digests = sorted(entry.descriptor.digest for entry in index.manifests)
            if index.media_type == MediaType.OCI_INDEX and digests == wanted:
                return blob
        return b""

    def _kept_manifest(self, image: StoredImage, layers: Sequence[LayerBlob]) -> bytes:
        """As `_kept_index`: where the layers go out as they came."""
        wanted = [layer.descriptor.digest for layer in layers]
        for one in kept_manifests(self._content, image):
            digests = [layer.digest for layer in one.manifest.layers]
            if one.manifest.media_type == MediaType.OCI_MANIFEST and digests == wanted:
                return one.blob
        return b""

    def _image(
        self, image: StoredImage, names: tuple[str, ...], request: ExportRequest, *, qualified: bool
    ) -> LayoutImage:
        packing = Packing(
            request.compression, request.compression_level, force=request.force_compression
        )
        layers = self._blobs.of(image, packing)
        return layout_image(
            image,
            config=self._content.read(image.image_id),
            layers=layers,
            names=names,
            annotations=request.annotations,
            qualified=qualified,
            kept=b"" if request.annotations else self._kept_manifest(image, layers),
        )
