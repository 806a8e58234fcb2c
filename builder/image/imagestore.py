"""The images of the store: their configs, names, and the blobs that their layers are kept as.

A config is a blob, the image's id its digest. An image that came with a manifest has its digest as
one of its names: REPOSITORY@DIGEST. Rows of `images`, `names` and `layer_blobs` (see
cache.database) say which configs are images, what they are called and where the layers' bytes lie.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from builder.image.codec import decode_config, encode_config
from builder.image.errors import AmbiguousImageError, InvalidImageError, InvalidReferenceError
from builder.image.model import ImageConfig, Platform, StoredImage
from builder.image.platform import normalised, parse_platform, serves
from builder.image.reference import Reference, parse_reference
from cache.descriptor import Descriptor
from cache.digest import Digest, sha256_digest
from cache.errors import CorruptContentError, NotFoundError
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
    (SELECT json_group_array(name) FROM names WHERE names.image_id = images.image_id),
    (SELECT json_group_array(name) FROM platform_images AS more
     WHERE more.image_id = images.image_id)
  FROM images
"""

_MEAN_ANOTHER_PLATFORM = """
  UPDATE OR IGNORE names SET image_id = (
    SELECT image_id FROM platform_images AS other
    WHERE other.name = names.name ORDER BY other.position LIMIT 1
  )
  WHERE image_id = ? AND name IN (SELECT name FROM platform_images)
"""

_Row = tuple[Digest, str, int, str, str]


class ImageStore:
    """Safe from several threads and processes; each change is one transaction."""

    def __init__(self, database: Database, content: ContentStore) -> None:
        self._database = database
        self._content = content

    def put(
        self, config: ImageConfig, layer_sizes: Sequence[int], *, names: Iterable[str] = ()
    ) -> StoredImage:
        """Keep an image whose layers are in the store, by these names in normal form. Idempotent.

        Nobody sees it without its names: a prune would take it for one that lost them.
        """
        return self.adopt(encode_config(config), layer_sizes, names=names)

    def adopt(
        self, config_blob: bytes, layer_sizes: Sequence[int], *, names: Iterable[str] = ()
    ) -> StoredImage:
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
            connection.executemany(
                "INSERT OR REPLACE INTO names VALUES (?, ?)", [(name, image_id) for name in names]
            )
            return self._load("WHERE image_id = ?", image_id)[0]

    def tag(self, name: str, image_id: Digest) -> None:
        """Give the image a name in normal form; whatever had the name before loses it."""
        with self._database.transaction() as connection:
            _name(connection, name, image_id)

    def tag_platforms(
        self, name: str, images: Mapping[Platform, StoredImage], meant: StoredImage
    ) -> None:
        """Give a name to images for different platforms, in the order of an index.

        `meant` is the one that it means where no platform is said.
        """
        with self._database.transaction() as connection:
            _name(connection, name, meant.image_id)
            for position, (platform, image) in enumerate(images.items()):
                if not _select(connection, "WHERE image_id = ?", image.image_id):
                    raise _no_such_image(image.image_id)
                connection.execute(
                    "INSERT OR REPLACE INTO platform_images VALUES (?, ?, ?, ?)",
                    (name, str(normalised(platform)), image.image_id, position),
                )

    def untag(self, name: str) -> bool:
        """Take a name away, from all images that have it; whether it was there."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM platform_images WHERE name = ?", (name,))
            return connection.execute("DELETE FROM names WHERE name = ?", (name,)).rowcount > 0

    def platforms(self, name: str) -> dict[Platform, StoredImage]:
        """The images that a name in normal form stands for, in the index's order.

        One for a name without an index; none where there is no such name. The platforms are those
        of the index, which an image's own config may belie.
        """
        rows = self._database.connection().execute(
            "SELECT platform, image_id FROM platform_images WHERE name = ? ORDER BY position",
            (name,),
        )
        found: dict[Platform, StoredImage] = {}
        for text, image_id in cast("list[tuple[str, Digest]]", rows.fetchall()):
            with suppress(NotFoundError):  # another process removes it right now
                found[parse_platform(text)] = self.get(image_id)
        if not found:
            image = self._first(
                "WHERE image_id = (SELECT image_id FROM names WHERE name = ?)", name
            )
            return {} if image is None else {image.config.platform: image}
        return found

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

    def find_for(self, text: str, platform: Platform) -> StoredImage | None:
        """As `find`, of a name for several platforms the image that serves `platform` best.

        None where none of them does.
        """
        image = self.find(text)
        if image is None:
            return None
        name = _name_meant(image, text)
        return best_for(self.platforms(name) if name else {image.config.platform: image}, platform)

    def list(self) -> tuple[StoredImage, ...]:
        """All images, the latest first."""
        return self._load("ORDER BY stored_at DESC, image_id")

    def ids(self) -> frozenset[Digest]:
        """Of all images, those too whose config is lost."""
        return frozenset(row[0] for row in _select(self._database.connection(), ""))

    def list_whole(self) -> tuple[StoredImage, ...]:
        """As `list`, without those whose config is damaged."""
        found: list[StoredImage] = []
        for image_id in self.ids():
            with suppress(NotFoundError, CorruptContentError, InvalidImageError):
                found.append(self.get(image_id))
        return tuple(found)

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        rows = self._database.connection().execute("SELECT name FROM names ORDER BY name")
        return tuple(name for (name,) in cast("Iterable[tuple[str]]", rows))

    def remove(self, image_id: Digest) -> bool:
        """Forget the image, its names and its config; whether it was there.

        Its layers stay: other images and the build cache may use them, and prune knows.
        """
        with self._database.transaction() as connection:
            was_there = _forget(connection, image_id)
            self._content.delete(image_id)  # within: `adopt` must see both or neither
            return was_there

    def sweep(
        self, find_kept: Callable[[tuple[StoredImage, ...]], Collection[Digest]]
    ) -> tuple[StoredImage, ...]:
        """Forget the images that nobody keeps, all at one moment; those that went.

        `find_kept` is asked under the write lock: nobody names an image or takes it meanwhile.
        Their configs are left to the sweep of blobs.
        """
        with self._database.transaction() as connection:
            images = self._load("ORDER BY stored_at DESC, image_id")
            kept = find_kept(images)
            gone = tuple(image for image in images if image.image_id not in kept)
            broken = {row[0] for row in _select(connection, "")} - {one.image_id for one in images}
            for image_id in {image.image_id for image in gone} | broken:
                _forget(connection, image_id)
        return gone

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
        image_id, layer_sizes, stored_at, names, platform_names = row
        own, shared = set[str](json.loads(names)), set[str](json.loads(platform_names))
        return StoredImage(
            image_id=image_id,
            config=decode_config(self._content.read(image_id)),
            layer_sizes=tuple(json.loads(layer_sizes)),
            names=tuple(sorted(own | shared)),
            stored_at=stored_at,
            platform_names=tuple(sorted(shared - own)),
        )


def best_for(images: Mapping[Platform, StoredImage], wanted: Platform) -> StoredImage | None:
    """The one for `wanted`, or else for an older variant of it."""
    serving = [platform for platform in images if serves(platform, wanted)]
    exact = (one for one in serving if normalised(one) == normalised(wanted))
    best = next(exact, serving[0] if serving else None)
    return None if best is None else images[best]


def _name_meant(image: StoredImage, text: str) -> str:
    """The image's name that `text` is; "" for the beginning of its id."""
    try:
        name = stored_name(parse_reference(text))
    except InvalidReferenceError:
        return ""
    return name if name in image.names else ""


def _forget(connection: sqlite3.Connection, image_id: Digest) -> bool:
    """Drop an image with its names; a name for several platforms means another of them then."""
    connection.execute("DELETE FROM platform_images WHERE image_id = ?", (image_id,))
    connection.execute(_MEAN_ANOTHER_PLATFORM, (image_id,))
    connection.execute("DELETE FROM names WHERE image_id = ?", (image_id,))
    return connection.execute("DELETE FROM images WHERE image_id = ?", (image_id,)).rowcount > 0


def stored_name(reference: Reference) -> str:
    """The form that a name is stored in: beside a digest, a tag says nothing."""
    return replace(reference, tag="").normal if reference.digest else reference.normal


def manifest_digest(image: StoredImage, reference: Reference) -> Digest | None:
    """The digest of the manifest that the image came with into this repository, if it did."""
    known = (parse_reference(name) for name in image.names)
    return next(
        (one.digest for one in known if one.repository == reference.repository and one.digest), None
    )


def _name(connection: sqlite3.Connection, name: str, image_id: Digest) -> None:
    """The name means this image and no other one."""
    if not _select(connection, "WHERE image_id = ?", image_id):
        raise _no_such_image(image_id)
    connection.execute("DELETE FROM platform_images WHERE name = ?", (name,))
    connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (name, image_id))


def _select(connection: sqlite3.Connection, condition: str, *parameters: str) -> tuple[_Row, ...]:
    rows = connection.execute(_SELECT + condition, parameters)
    return tuple(cast("Iterable[_Row]", rows))


def _no_such_image(image_id: str) -> NotFoundError:
    return NotFoundError(f"the store has no image {image_id}")
