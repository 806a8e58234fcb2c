"""Load: images of an archive, or of a layout's directory, into the store."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from builder.engine import Engine
from builder.errors import UsageError
from builder.image.imagestore import best_for
from builder.image.model import MediaType, Platform, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import parse_reference
from builder.layer.compress import decompressed
from builder.runtime.journal import Journal
from builder.worker.image_archive import ArchiveSource
from builder.worker.image_layout import SourceImage, images_in_source
from builder.worker.image_source import DirectorySource, ImageSource
from builder.worker.image_step import keep_image
from builder.worker.layer_unpack import MAGIC_BYTES, media_type_of

STDIN = "-"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """What an archive has under its names: an image, or one for each of several platforms."""

    images: tuple[StoredImage, ...]
    names: tuple[str, ...]


def load(
    engine: Engine, path: str, platforms: Sequence[Platform] = (), *, every: bool = False
) -> tuple[LoadedImage, ...]:
    """Take in all images of the archive or layout at `path`, "-" for stdin, and tag them.

    Of an image for several platforms, those for `platforms`: this machine's, if there are none.
    `every`: all that it has.
    """
    loaded: list[LoadedImage] = []
    wanted = platforms or (host_platform(),)
    with _source(engine, path) as source, engine.leases.hold() as lease:
        for found in images_in_source(source, wanted, every=every):
            images = tuple(keep_image(engine, source, one, lease) for one in found)
            _tag(engine, found, images)
            now = tuple(engine.images.get(image.image_id) for image in images)
            loaded.append(LoadedImage(now, found[0].names))
            for image in now:
                Journal(engine.state).note("image", "load", image.image_id, name=image.image_id)
    return tuple(loaded)


def _tag(engine: Engine, found: Sequence[SourceImage], images: Sequence[StoredImage]) -> None:
    for one, image in zip(found, images, strict=True):
        for name in _digest_names(one):
            engine.images.tag(name, image.image_id)
    pairs = zip(found, images, strict=True)
    by_platform = {one.platform or image.config.platform: image for one, image in pairs}
    meant = best_for(by_platform, host_platform()) or images[0]
    for name in (*found[0].names, *_index_names(engine, found[0])):
        if len(images) > 1:
            engine.images.tag_platforms(name, by_platform, meant)
        else:
            engine.images.tag(name, meant.image_id)


def _digest_names(found: SourceImage) -> list[str]:
    """REPOSITORY@DIGEST for each repository that the image came from, if it has a manifest."""
    if found.manifest_digest is None:
        return []
    repositories = {parse_reference(name).repository for name in found.names}
    return [f"{repository}@{found.manifest_digest}" for repository in sorted(repositories)]


def _index_names(engine: Engine, found: SourceImage) -> list[str]:
    """Keep the index, so that a push gives it its digest; its names: REPOSITORY@DIGEST."""
    if not found.index:
        return []
    with engine.content.ingest() as blob:
        blob.write(found.index)
        digest, _ = blob.commit()
    repositories = {parse_reference(name).repository for name in found.names}
    return [f"{repository}@{digest}" for repository in sorted(repositories)]


@contextmanager
def _source(engine: Engine, path: str) -> Generator[ImageSource]:
    if path != STDIN and os.path.isdir(path):
        yield DirectorySource(path)
        return
    with ExitStack() as stack:
        file = stack.enter_context(open_input(path))
        if not _can_be_read_in_place(file):
            file = stack.enter_context(_spooled(engine, file))
        yield stack.enter_context(ArchiveSource(file, "stdin" if path == STDIN else path))


@contextmanager
def open_input(path: str) -> Generator[BinaryIO]:
    """The file, or stdin for "-"; UsageError where that is a terminal or there is no file."""
    if path == STDIN:
        if sys.stdin.isatty():
            raise UsageError("stdin is a terminal", hint="name a file, or pipe an archive in")
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        yield file


def _can_be_read_in_place(file: BinaryIO) -> bool:
    """Whether it is a file with an uncompressed archive, read from its beginning."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.tell() != 0:
        return False
    return media_type_of(os.pread(file.fileno(), MAGIC_BYTES, 0)) == MediaType.OCI_LAYER


@contextmanager
def _spooled(engine: Engine, source: BinaryIO) -> Generator[BinaryIO]:
    """The uncompressed archive in a file: its members are looked for in any order."""
    directory = engine.state.scratch("load")
    path = os.path.join(directory, "archive")
    try:
        with open(path, "x+b") as file:
            plain = decompressed(source, limit_bytes=engine.settings.unpack_limit_bytes)
            while data := plain.read(_CHUNK):
                file.write(data)
            file.seek(0)
            yield file
    finally:
        os.unlink(path)
        os.rmdir(directory)
