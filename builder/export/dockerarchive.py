"""Images as `docker save` writes them: a tar with manifest.json, layers uncompressed.

manifest.json         [{"Config": ..., "RepoTags": [...], "Layers": [...]}]
oci-layout, index.json, blobs/sha256/HEX    the same blobs as an OCI layout

One archive is both: docker, podman and skopeo read manifest.json, containerd the layout.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.export.api import Exported, ExportRequest, NamedImage
from builder.export.archive import ArchiveWriter
from builder.export.blobs import LayerBlobs, Packing
from builder.export.layout import LayoutImage, blob_file, layout_image, tags_collide, write_layout
from builder.export.output import open_output
from builder.image.codec import JsonDict, encode_json
from builder.image.reference import parse_reference
from cache.content.api import ContentStore

MANIFEST_FILE = "manifest.json"


class DockerArchiveExporter:
    """type=docker. Layers are plain, which every reader takes, unless a compression is asked for.

    Layers that several images share stand in the archive once. The format knows no platforms: of a
    name for several, `NamedImage.image` is written.
    """

    def __init__(self, content: ContentStore, blobs: LayerBlobs) -> None:
        self._content = content
        self._blobs = blobs

    def export(self, request: ExportRequest) -> Exported:
        packing = None
        if request.compression is not None:
            packing = Packing(
                request.compression, request.compression_level, force=request.force_compression
            )
        qualified = tags_collide(named.names for named in request.images)
        prepared = [self._prepare(one, packing, qualified=qualified) for one in request.images]
        with open_output(request.dest) as file:
            archive = ArchiveWriter(file)
            archive.add_file(MANIFEST_FILE, _manifest(request.images, prepared))
            write_layout(archive, prepared)
            archive.finish()
        return Exported(dest=request.dest, digest=prepared[0].manifest_digest)

    def _prepare(
        self, named: NamedImage, packing: Packing | None, *, qualified: bool
    ) -> LayoutImage:
        image = named.image
        blobs = self._blobs.of(image, packing) if packing else self._blobs.plain(image)
        config = self._content.read(image.image_id)
        return layout_image(
            image, config=config, layers=blobs, names=named.names, qualified=qualified
        )


def _manifest(images: Sequence[NamedImage], prepared: Sequence[LayoutImage]) -> bytes:
    pairs = zip(images, prepared, strict=True)
    return encode_json([_manifest_entry(named, layout) for named, layout in pairs])


def _manifest_entry(named: NamedImage, layout: LayoutImage) -> JsonDict:
    return {
        "Config": blob_file(named.image.image_id),
        "RepoTags": _tags(named.names),
        "Layers": [blob_file(layer.descriptor.digest) for layer in layout.layers],
    }


def _tags(names: Sequence[str]) -> list[str]:
    references = map(parse_reference, names)
    return [reference.familiar for reference in references if reference.digest is None]
