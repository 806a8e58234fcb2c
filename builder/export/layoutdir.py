"""An OCI layout as a directory: new, or one with other images that stay in it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from builder.export.layout import (
    BLOBS_DIR,
    INDEX_FILE,
    LAYOUT_FILE,
    LayoutImage,
    blob_file,
    layout_document,
)
from builder.export.output import ExportError
from builder.image.annotations import IMAGE_NAME, REF_NAME
from builder.image.codec import decode_index, encode_index
from builder.image.model import Index, IndexEntry, MediaType
from cache.digest import Digest, Writer, sha256_digest


def add_to_directory(directory: str, image: LayoutImage) -> None:
    """Put the image into the layout; an entry with a name of its own leaves.

    The index comes last and is replaced in one step: whoever reads the layout meanwhile finds the
    images that were there.
    """
    others = _entries_of(directory)
    try:
        os.makedirs(os.path.join(directory, BLOBS_DIR), exist_ok=True)
    except OSError as error:
        raise ExportError(f"{directory} cannot be written to: {error.strerror}") from error
    for layer in image.layers:
        _add_blob(directory, layer.descriptor.digest, layer.write)
    for document in image.documents:
        _add_blob(directory, sha256_digest(document), _writing(document))
    _replace(directory, LAYOUT_FILE, _writing(layout_document()))
    kept = tuple(entry for entry in others if not _is_replaced(entry, image))
    index = encode_index(Index(MediaType.OCI_INDEX, kept + image.entries))
    _replace(directory, INDEX_FILE, _writing(index))


def _entries_of(directory: str) -> tuple[IndexEntry, ...]:
    """What the layout holds; a directory that holds something else is left alone."""
    try:
        with open(os.path.join(directory, INDEX_FILE), "rb") as file:
            return decode_index(file.read()).manifests
    except FileNotFoundError:
        if os.path.isdir(directory) and os.listdir(directory):
            raise ExportError(
                f"{directory} is not empty and no OCI layout",
                hint="name a new directory, or one that holds a layout",
            ) from None
        return ()
    except NotADirectoryError as error:
        raise ExportError(f"{directory} is not a directory") from error


def _is_replaced(entry: IndexEntry, image: LayoutImage) -> bool:
    names = _names_of(entry)
    if not names:
        return entry.descriptor.digest == image.manifest_digest
    return any(names & _names_of(new) for new in image.entries)


def _names_of(entry: IndexEntry) -> set[tuple[str, str]]:
    return {pair for pair in entry.descriptor.annotations if pair[0] in {IMAGE_NAME, REF_NAME}}


def _add_blob(directory: str, digest: Digest, write: Callable[[Writer], None]) -> None:
    name = blob_file(digest)
    if not os.path.exists(os.path.join(directory, name)):
        _replace(directory, name, write)


def _replace(directory: str, name: str, write: Callable[[Writer], None]) -> None:
    path = os.path.join(directory, name)
    aside = f"{path}.{secrets.token_hex(6)}"
    with open(aside, "xb") as file:
        try:
            write(file)
            file.flush()
            os.rename(aside, path)
        except BaseException:
            os.unlink(aside)
            raise


def _writing(content: bytes) -> Callable[[Writer], None]:
    def write(target: Writer) -> None:
        target.write(content)

    return write
