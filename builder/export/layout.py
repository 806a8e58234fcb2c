"""An OCI layout's files. Spec: OCI image-spec image-layout.md.

oci-layout            {"imageLayoutVersion":"1.0.0"}
index.json            the manifest, once for each name
blobs/sha256/HEX      manifest, config, layers
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from builder.export.archive import ArchiveWriter
from builder.export.blobs import LayerBlob
from builder.image.annotations import IMAGE_NAME, REF_NAME
from builder.image.codec import encode_index, encode_json, encode_manifest
from builder.image.model import Index, IndexEntry, Manifest, MediaType, Platform, StoredImage
from builder.image.platform import normalised
from builder.image.reference import parse_reference
from cache.descriptor import Descriptor
from cache.digest import Digest, hex_of, sha256_digest

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
BLOBS_DIR = "blobs/sha256"


@dataclass(frozen=True, slots=True)
class LayoutImage:
    """All the blobs of an image, or of an index's images, and its entries in the layout."""

    documents: tuple[bytes, ...]  # configs, manifests, the index
    layers: tuple[LayerBlob, ...]
    entries: tuple[IndexEntry, ...]

    @property
    def manifest_digest(self) -> Digest:
        return self.entries[0].descriptor.digest


def layout_image(
    image: StoredImage,
    *,
    config: bytes,
    layers: Sequence[LayerBlob],
    names: Sequence[str],
    annotations: tuple[tuple[str, str], ...] = (),
    qualified: bool = False,
    kept: bytes = b"",
) -> LayoutImage:
    """The image with its manifest; `names` in normal form, `config` as the store has it.

    `qualified` where the tag alone would not tell the layout's images apart. `kept`: the manifest
    over these layers that the image came with.
    """
    manifest = kept or encode_manifest(
        Manifest(
            media_type=MediaType.OCI_MANIFEST,
            config=Descriptor(MediaType.OCI_CONFIG, image.image_id, len(config)),
            layers=tuple(layer.descriptor for layer in layers),
            annotations=annotations,
        )
    )
    descriptor = Descriptor(MediaType.OCI_MANIFEST, sha256_digest(manifest), len(manifest))
    platform = normalised(image.config.platform)
    return LayoutImage(
        (config, manifest),
        tuple(layers),
        _entries(descriptor, platform, names, qualified=qualified),
    )


def layout_index(
    images: Sequence[LayoutImage],
    *,
    names: Sequence[str],
    annotations: tuple[tuple[str, str], ...] = (),
    qualified: bool = False,
    kept: bytes = b"",
) -> LayoutImage:
    """An index over images that were prepared without names, one for each platform.

    `kept`: the index over these manifests that the images came with.
    """
    manifests = tuple(image.entries[0] for image in images)
    index = kept or encode_index(Index(MediaType.OCI_INDEX, manifests, annotations))
    descriptor = Descriptor(MediaType.OCI_INDEX, sha256_digest(index), len(index))
    return LayoutImage(
        (*(document for image in images for document in image.documents), index),
        tuple(layer for image in images for layer in image.layers),
        _entries(descriptor, None, names, qualified=qualified),
    )


def _entries(
    descriptor: Descriptor, platform: Platform | None, names: Sequence[str], *, qualified: bool
) -> tuple[IndexEntry, ...]:
    named = tuple(_named(descriptor, name, qualified=qualified) for name in names)
    return tuple(IndexEntry(entry, platform) for entry in named or (descriptor,))


def _named(descriptor: Descriptor, name: str, *, qualified: bool) -> Descriptor:
    reference = parse_reference(name)
    ref_name = reference.familiar if qualified else reference.tag
    named = ((IMAGE_NAME, name),)
    return replace(descriptor, annotations=(*named, (REF_NAME, ref_name)) if ref_name else named)


def tags_collide(names: Iterable[Sequence[str]]) -> bool:
    """Whether two of the images, given by their names, share a tag."""
    tags = [tag for of_one in names for tag in {parse_reference(name).tag for name in of_one}]
    return len(set(tags)) < len(tags)


def write_layout(archive: ArchiveWriter, images: Sequence[LayoutImage]) -> None:
    """Add a whole layout to the archive; the index first, so that a stream says what comes."""
    archive.add_file(LAYOUT_FILE, layout_document())
    entries = tuple(entry for image in images for entry in image.entries)
    archive.add_file(INDEX_FILE, encode_index(Index(MediaType.OCI_INDEX, entries)))
    archive.add_directory("blobs")
    archive.add_directory(BLOBS_DIR)
    for image in images:
        for document in image.documents:
            _add_once(archive, sha256_digest(document), document)
        for layer in image.layers:
            _add_once(archive, layer.descriptor.digest, layer)


def _add_once(archive: ArchiveWriter, digest: Digest, blob: bytes | LayerBlob) -> None:
    name = blob_file(digest)
    if archive.has(name):
        return
    if isinstance(blob, bytes):
        archive.add_file(name, blob)
    else:
        archive.add_stream(name, blob.descriptor.size_bytes, blob.write)


def blob_file(digest: Digest) -> str:
    """The blob's place in a layout."""
    return f"{BLOBS_DIR}/{hex_of(digest)}"


def layout_document() -> bytes:
    """What the file oci-layout says."""
    return encode_json({"imageLayoutVersion": "1.0.0"})
