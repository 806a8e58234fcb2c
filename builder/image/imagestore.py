"""The images of the store: their configs, names, and the blobs that their layers are kept as.

A config is a blob, the image's id its digest. An image that came with a manifest has its digest as
one of its names: REPOSITORY@DIGEST. Rows of `images`, `names` and `layer_blobs` (see
cache.database) say which configs are images, what they are called and where the layers' bytes lie.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from builder.image.codec import decode_config, encode_config
from builder.image.errors import AmbiguousImageError, InvalidReferenceError
from builder.image.model import ImageConfig, StoredImage
from builder.image.reference import Reference, parse_reference
from cache.descriptor import Descriptor
from cache.digest import Digest, sha256_digest
from cache.errors import NotFoundError
from cache.record import replace

if TYPE_CHECKING:
    import sqlite3

    from cache.content.api import ContentStore
    from cache.database import Database

ORIGIN = "origin"
"""The variant of a layer's blob as it came from elsewhere."""

_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")
_SELECT = """
  SELECT image_id, layer_sizes, stored_at,
    (SELECT json_group_array(name) FROM names WHERE names.image_id = images.image_id)
  FROM images
"""

_Row = tuple[Digest, str, int, str]


class ImageStore:
    """Safe from several threads and processes; each change is one transaction."""

    def __init__(self, database: Database, content: ContentStore) -> None:
        self._database = database
        self._content = content

    def put(self, config: ImageConfig, layer_sizes: Sequence[int]) -> StoredImage:
        """Keep an image whose layers are in the store. Idempotent."""
        return self.adopt(encode_config(config), layer_sizes)

    def adopt(self, config_blob: bytes, layer_sizes: Sequence[int]) -> StoredImage:
        """Keep an image by a config made elsewhere, byte for byte, so that it keeps its id."""
        config = decode_config(config_blob)
        assert len(layer_sizes) == len(config.diff_ids), "a size for each layer"
        image_id = sha256_digest(config_blob)
        self._ingest(config_blob)
        stored_at = int(time.time())
        with self._database.transaction() as connection:
            if self._content.size(image_id) is None:  # `remove` took it since
                self._ingest(config_blob)
            connection.execute(
                "INSERT OR IGNORE INTO images (image_id, layer_sizes, stored_at) VALUES (?, ?, ?)",
                (image_id, json.dumps(list(layer_sizes)), stored_at),
            )
            return self._load("WHERE image_id = ?", image_id)[0]

    def tag(self, name: str, image_id: Digest) -> None:
        """Give the image a name in normal form; whatever had the name before loses it."""
        with self._database.transaction() as connection:
            if not _select(connection, "WHERE image_id = ?", image_id):
                raise _no_such_image(image_id)
            connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (name, image_id))

    def untag(self, name: str) -> bool:
        """Take a name away; whether it was there."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM names WHERE name = ?", (name,)).rowcount > 0

    def get(self, image_id: Digest) -> StoredImage:
        """The image with this id; NotFoundError where there is none."""
        images = self._load("WHERE image_id = ?", image_id)
        if not images:
            raise _no_such_image(image_id)
        return images[0]

    def find(self, text: str) -> StoredImage | None:
        """The image that a user means by `text`: a whole id, a name, or the beginning of an id.

        None where there is none; AmbiguousImageError where several ids begin so;
        InvalidReferenceError where `text` can be neither.
        """
        prefix = _ID_PREFIX.match(text)
        if prefix and len(prefix[1]) == 64:
            return self._first("WHERE image_id = ?", f"sha256:{prefix[1]}")
        try:
            name = stored_name(parse_reference(text))
        except InvalidReferenceError:
            if prefix is None:
                raise
            return self._by_prefix(prefix[1])
        named = self._first("WHERE image_id = (SELECT image_id FROM names WHERE name = ?)", name)
        return named or (self._by_prefix(prefix[1]) if prefix else None)

    def list(self) -> tuple[StoredImage, ...]:
        """All images, the latest first."""
        return self._load("ORDER BY stored_at DESC, image_id")

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        rows = self._database.connection().execute("SELECT name FROM names ORDER BY name")
        return tuple(name for (name,) in cast("Iterable[tuple[str]]", rows))

    def remove(self, image_id: Digest) -> bool:
        """Forget the image, its names and its config; whether it was there.

        Its layers stay: other images and the build cache may use them, and prune knows.
        """
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM names WHERE image_id = ?", (image_id,))
            deleted = connection.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
            self._content.delete(image_id)  # within: `adopt` must see both or neither
            return deleted.rowcount > 0

    def origin_blob(self, diff_id: Digest) -> Descriptor | None:
        """The layer's blob as it came from elsewhere, if there is one."""
        return self.packed_blob(diff_id, ORIGIN)

    def packed_blob(self, diff_id: Digest, variant: str) -> Descriptor | None:
        """The layer's blob in this variant ("gzip-1"), if the store has it."""
        rows = self._database.connection().execute(
            """
            SELECT media_type, digest, size_bytes FROM layer_blobs
            WHERE diff_id = ? AND variant = ?
            """,
            (diff_id, variant),
        )
        row = cast("tuple[str, Digest, int] | None", rows.fetchone())
        if row is None or self._content.size(row[1]) != row[2]:
            return None
        return Descriptor(media_type=row[0], digest=row[1], size_bytes=row[2])

    def record_blob(self, diff_id: Digest, variant: str, blob: Descriptor) -> None:
        """Remember that the store holds this layer in this variant."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?, ?)",
                (diff_id, variant, blob.media_type, blob.digest, blob.size_bytes),
            )

    def _ingest(self, blob: bytes) -> None:
        with self._content.ingest() as writer:
            writer.write(blob)
            writer.commit()

    def _by_prefix(self, prefix: str) -> StoredImage | None:
        images = self._load("WHERE image_id GLOB ? LIMIT 2", f"sha256:{prefix}*")
        if len(images) > 1:
            raise AmbiguousImageError(
                f"several images have ids that begin with {prefix}", hint="give more digits"
            )
        return images[0] if images else None

    def _first(self, condition: str, parameter: str) -> StoredImage | None:
        images = self._load(condition, parameter)
        return images[0] if images else None

    def _load(self, condition: str, *parameters: str) -> tuple[StoredImage, ...]:
        images: list[StoredImage] = []
        for row in _select(self._database.connection(), condition, *parameters):
            with suppress(NotFoundError):  # another process removes it right now
                images.append(self._image_of(row))
        return tuple(images)

    def _image_of(self, row: _Row) -> StoredImage:
        image_id, layer_sizes, stored_at, names = row
        return StoredImage(
            image_id=image_id,
            config=decode_config(self._content.read(image_id)),
            layer_sizes=tuple(json.loads(layer_sizes)),
            names=tuple(sorted(json.loads(names))),
            stored_at=stored_at,
        )


def stored_name(reference: Reference) -> str:
    """The form that a name is stored in: beside a digest, a tag says nothing."""
    return replace(reference, tag="").normal if reference.digest else reference.normal


def manifest_digest(image: StoredImage, reference: Reference) -> Digest | None:
    """The digest of the manifest that the image came with into this repository, if it did."""
    known = (parse_reference(name) for name in image.names)
    return next(
        (one.digest for one in known if one.repository == reference.repository and one.digest), None
    )


def _select(connection: sqlite3.Connection, condition: str, *parameters: str) -> tuple[_Row, ...]:
    rows = connection.execute(_SELECT + condition, parameters)
    return tuple(cast("Iterable[_Row]", rows))


def _no_such_image(image_id: str) -> NotFoundError:
    return NotFoundError(f"the store has no image {image_id}")
