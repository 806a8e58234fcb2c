"""The manifests that images came with, byte for byte, as the store keeps them.

An image has the digest of what it was pulled or loaded as among its names: REPOSITORY@DIGEST. That
is a manifest, or an index, of which the store has the manifest for the image's platform as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from builder.image.codec import decode_index, decode_manifest
from builder.image.model import Index, Manifest, StoredImage
from builder.image.reference import Reference, parse_reference
from cache.content.api import ContentStore
from cache.digest import Digest
from cache.errors import CorruptContentError, NotFoundError, PybuildError
from cache.record import record


@record
class KeptManifest:
    """A manifest of the image, and the repository that it came from."""

    origin: Reference
    digest: Digest
    blob: bytes
    manifest: Manifest


def kept_manifests(content: ContentStore, image: StoredImage) -> Iterator[KeptManifest]:
    """Those that are there whole, by repository."""
    for name in image.names:
        origin = parse_reference(name)
        for digest in documents_of(content, [name]):
            blob = _read(content, digest)
            manifest = None if blob is None else _manifest(blob)
            if blob is not None and manifest and manifest.config.digest == image.image_id:
                yield KeptManifest(origin, digest, blob, manifest)


def kept_indexes(content: ContentStore, image: StoredImage) -> Iterator[tuple[bytes, Index]]:
    """Those that the image came in."""
    for name in image.names:
        digest = parse_reference(name).digest if "@" in name else None
        blob = None if digest is None else _read(content, digest)
        if blob is not None:
            with suppress(PybuildError):  # a manifest
                yield blob, decode_index(blob)


def documents_of(content: ContentStore, names: Iterable[str]) -> tuple[Digest, ...]:
    """The digests of the manifests and indexes that names with a digest stand for.

    Without those that the store doesn't have: roots for whoever removes blobs.
    """
    found: dict[Digest, None] = {}
    for name in names:
        digest = parse_reference(name).digest if "@" in name else None
        blob = None if digest is None else _read(content, digest)
        if digest is None or blob is None:
            continue
        found[digest] = None
        found.update(dict.fromkeys(_entries(content, blob)))
    return tuple(found)


def _entries(content: ContentStore, blob: bytes) -> list[Digest]:
    try:
        entries = decode_index(blob).manifests
    except PybuildError:
        return []
    digests = [entry.descriptor.digest for entry in entries]
    return [digest for digest in digests if content.size(digest) is not None]


def _manifest(blob: bytes) -> Manifest | None:
    try:
        return decode_manifest(blob)
    except PybuildError:
        return None  # an index


def _read(content: ContentStore, digest: Digest) -> bytes | None:
    try:
        return content.read(digest)
    except (NotFoundError, CorruptContentError):
        return None
