"""What an image source holds, before any layer is read: manifests, configs, names.

Spec: OCI image-spec image-layout.md, image-index.md; for manifest.json Docker's image-spec v1.2.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from builder.errors import UnknownImageError, UsageError
from builder.image.annotations import IMAGE_NAME, REF_NAME
from builder.image.codec import INDEX_TYPES, decode_config, decode_index, decode_manifest
from builder.image.errors import InvalidImageError, InvalidReferenceError
from builder.image.jsonobject import JsonObject, parse_objects
from builder.image.model import ImageConfig, Index, IndexEntry, MediaType, Platform
from builder.image.platform import choose_manifest, offered_platforms
from builder.image.reference import parse_reference
from builder.image.validate import check_layers
from builder.worker.image_source import (
    DOCKER_MANIFEST_NAME,
    INDEX_NAME,
    ImageSource,
    blob_name,
    read_blob,
    read_document,
)
from cache.descriptor import Descriptor
from cache.digest import Digest, parse_digest, sha256_digest
from cache.record import replace

LAYOUT_SCHEME = "oci-layout://"
_INDEX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class LayoutReference:
    """`oci-layout://DIR[:TAG][@DIGEST]`."""

    directory: str
    tag: str = ""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer in a source: the file it is in, and what that must be, as far as somebody says it."""

    diff_id: Digest
    file_name: str
    blob: Descriptor | None  # None: a docker archive tells the plain tar's digest alone


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image in a source, its config checked."""

    config_blob: bytes
    config: ImageConfig
    layers: tuple[SourceLayer, ...]
    names: tuple[str, ...] = ()  # normal forms
    manifest: bytes = b""  # as it came; b"" where the source has none
    index: bytes = b""  # that its name stands for, if it does for one
    platform: Platform | None = None  # that the index has it for: its config may say another one

    @property
    def manifest_digest(self) -> Digest | None:
        return sha256_digest(self.manifest) if self.manifest else None

    @property
    def image_id(self) -> Digest:
        return sha256_digest(self.config_blob)


def parse_layout_reference(text: str) -> LayoutReference:
    """What `text`, with or without its scheme, names. A colon in an existing path is no tag."""
    place = text.removeprefix(LAYOUT_SCHEME)
    digest = None
    directory, at, digest_text = place.rpartition("@")
    if at and digest_text.startswith("sha256:"):
        digest, place = parse_digest(digest_text), directory
    directory, colon, tag = place.rpartition(":")
    if not colon or "/" in tag or os.path.isdir(place):
        directory, tag = place, ""
    if not directory:
        raise UsageError(f'"{text}" names no directory', hint="oci-layout://DIR[:TAG]")
    return LayoutReference(directory, tag, digest)


def manifest_in_layout(
    source: ImageSource, wanted: LayoutReference, platform: Platform
) -> Descriptor:
    """The manifest of the image that a layout reference names."""
    entries = decode_index(read_document(source, INDEX_NAME)).manifests
    if wanted.digest is not None:
        found = [entry for entry in entries if entry.descriptor.digest == wanted.digest]
        named = found or [_unlisted(source, wanted.digest)]
    elif wanted.tag:
        named = [entry for entry in entries if wanted.tag in _tags_of(entry)]
    else:
        named = _untagged(entries)
    if not named:
        raise _no_such_tag(source, wanted, entries)
    return _resolved(source, named, platform)


def image_of_manifest(source: ImageSource, descriptor: Descriptor) -> SourceImage:
    """The image of a manifest in the source."""
    blob = read_blob(source, descriptor.digest, descriptor.size_bytes)
    manifest = decode_manifest(blob, media_type=descriptor.media_type)
    config_blob = read_blob(source, manifest.config.digest, manifest.config.size_bytes)
    config = decode_config(config_blob)
    check_layers(manifest, config)
    pairs = zip(config.diff_ids, manifest.layers, strict=True)
    layers = tuple(SourceLayer(diff_id, blob_name(layer.digest), layer) for diff_id, layer in pairs)
    return SourceImage(config_blob, config, layers, manifest=blob)


def config_digest_of(source: ImageSource, descriptor: Descriptor) -> Digest:
    """The id of a manifest's image."""
    blob = read_blob(source, descriptor.digest, descriptor.size_bytes)
    return decode_manifest(blob, media_type=descriptor.media_type).config.digest


def images_in_source(
    source: ImageSource, platforms: Sequence[Platform], *, every: bool = False
) -> Iterator[tuple[SourceImage, ...]]:
    """All images of an archive or layout, name by name; of one for several platforms, those asked.

    `every`: all that the source has.
    """
    if source.size(DOCKER_MANIFEST_NAME) is not None:
        for image in _docker_images(source):
            yield (image,)
        return
    if source.size(INDEX_NAME) is None:
        raise InvalidImageError(
            f"{source.what} holds no image: neither {INDEX_NAME} nor {DOCKER_MANIFEST_NAME}",
            hint="for the tar of a root filesystem use `pybuild import`",
        )
    entries = decode_index(read_document(source, INDEX_NAME)).manifests
    found: dict[tuple[Descriptor, ...], _Found] = {}
    for group in _grouped(entries):
        wanted = (_offered(source, group) if every else ()) or platforms
        manifests: dict[Descriptor, Platform] = {}
        for platform in wanted:
            descriptor = _resolved(source, group, platform)
            manifests.setdefault(replace(descriptor, annotations=()), platform)
        known = found.get(tuple(manifests)) or _Found(manifests, _index_of(source, group))
        name = _full_name(group[0])
        found[tuple(manifests)] = replace(known, names=(*known.names, *([name] if name else [])))
    for one in found.values():
        yield tuple(
            replace(
                image_of_manifest(source, descriptor),
                names=one.names,
                index=one.index,
                platform=platform if one.index else None,
            )
            for descriptor, platform in one.manifests.items()
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What names of a layout stand for."""

    manifests: dict[Descriptor, Platform]
    index: bytes
    names: tuple[str, ...] = ()


def _index_of(source: ImageSource, group: Sequence[IndexEntry]) -> bytes:
    """The index that a name stands for; b"" where it is no single one."""
    descriptor = group[0].descriptor
    if len(group) > 1 or descriptor.media_type not in INDEX_TYPES:
        return b""
    return read_blob(source, descriptor.digest, descriptor.size_bytes)


def _offered(source: ImageSource, entries: Sequence[IndexEntry]) -> tuple[Platform, ...]:
    """The platforms whose manifests the source has: a layout may hold a part of an index."""
    index = Index(MediaType.OCI_INDEX, tuple(entries))
    for _ in range(_INDEX_DEPTH):
        there = [
            entry
            for entry in index.manifests
            if source.size(blob_name(entry.descriptor.digest)) is not None
        ]
        only = there[0].descriptor if len(there) == 1 else None
        if only is None or only.media_type not in INDEX_TYPES:
            return offered_platforms(replace(index, manifests=tuple(there)))
        blob = read_blob(source, only.digest, only.size_bytes)
        index = decode_index(blob, media_type=only.media_type)
    return ()


def _docker_images(source: ImageSource) -> Iterator[SourceImage]:
    manifest = read_document(source, DOCKER_MANIFEST_NAME)
    for entry in parse_objects(manifest, what="docker archive's manifest.json"):
        config_blob = read_document(source, entry.text("Config", required=True))
        config = decode_config(config_blob)
        files = entry.texts("Layers") or ()
        if len(files) != len(config.diff_ids):
            raise entry.error("Layers", f"has {len(files)} layers, not {len(config.diff_ids)}")
        pairs = zip(config.diff_ids, files, strict=True)
        layers = tuple(SourceLayer(diff_id, file_name, None) for diff_id, file_name in pairs)
        yield SourceImage(config_blob, config, layers, tuple(_repo_tags(entry)))


def _repo_tags(entry: JsonObject) -> Iterator[str]:
    for name in entry.texts("RepoTags") or ():
        try:
            tag = _tag_in(name)
        except InvalidReferenceError as error:
            raise entry.error("RepoTags", error.message) from error
        if tag is not None:
            yield tag


def _tag_in(text: str) -> str | None:
    """The name's tag in normal form; a digest in it is only what somebody says."""
    reference = parse_reference(text)
    return replace(reference, digest=None).normal if reference.tag else None


def _resolved(source: ImageSource, entries: Iterable[IndexEntry], platform: Platform) -> Descriptor:
    """The manifest for `platform`, through indexes within indexes."""
    index = Index(MediaType.OCI_INDEX, tuple(entries))
    for _ in range(_INDEX_DEPTH):
        descriptor = _only_or_chosen(index, platform)
        if descriptor.media_type not in INDEX_TYPES:
            return descriptor
        blob = read_blob(source, descriptor.digest, descriptor.size_bytes)
        index = decode_index(blob, media_type=descriptor.media_type)
    raise InvalidImageError(f"{source.what} has indexes within indexes within indexes")


def _only_or_chosen(index: Index, platform: Platform) -> Descriptor:
    """Entries that lead to the same manifest under several names are one."""
    descriptors = {entry.descriptor.digest: entry.descriptor for entry in index.manifests}
    only = next(iter(descriptors.values()), None)
    if only is not None and len(descriptors) == 1 and only.media_type in INDEX_TYPES:
        return only
    return choose_manifest(index, platform)


def _grouped(entries: Iterable[IndexEntry]) -> list[list[IndexEntry]]:
    """Entries of one name together: mostly one, else one a platform. Nameless ones alone."""
    named: dict[tuple[str, ...], list[IndexEntry]] = {}
    nameless: list[list[IndexEntry]] = []
    for entry in entries:
        names = _tags_of(entry)
        if names:
            named.setdefault(names, []).append(entry)
        else:
            nameless.append([entry])
    return [*named.values(), *nameless]


def _tags_of(entry: IndexEntry) -> tuple[str, ...]:
    """By what a user may call the entry within its layout."""
    annotations = dict(entry.descriptor.annotations)
    name, tag = annotations.get(IMAGE_NAME, ""), annotations.get(REF_NAME, "")
    full_tag = tag.rpartition(":")[2] if "/" in tag or ":" in tag else ""
    return tuple(text for text in (tag, full_tag, name) if text)


def _full_name(entry: IndexEntry) -> str | None:
    """The name in normal form, if the entry says which repository it is of: a tag does not."""
    annotations = dict(entry.descriptor.annotations)
    tag = annotations.get(REF_NAME, "")
    text = annotations.get(IMAGE_NAME) or (tag if "/" in tag or ":" in tag else "")
    try:
        return _tag_in(text) if text else None
    except InvalidReferenceError:
        return None  # anybody may annotate as he likes: this is no name to ask for


def _untagged(entries: tuple[IndexEntry, ...]) -> list[IndexEntry]:
    """The image that a layout reference without a tag means: the only one, else "latest"."""
    groups = _grouped(entries)
    if len({entry.descriptor.digest for entry in entries}) == 1 or len(groups) == 1:
        return groups[0]
    return [entry for entry in entries if "latest" in _tags_of(entry)]


def _unlisted(source: ImageSource, digest: Digest) -> IndexEntry:
    """A manifest or index that the layout holds without naming it."""
    name = blob_name(digest)
    size_bytes = source.size(name)
    if size_bytes is None:
        raise UnknownImageError(f"{source.what} has no manifest {digest}")
    is_index = b'"manifests"' in read_document(source, name)
    media_type = MediaType.OCI_INDEX if is_index else MediaType.OCI_MANIFEST
    return IndexEntry(Descriptor(media_type, digest, size_bytes), None)


def _no_such_tag(
    source: ImageSource, wanted: LayoutReference, entries: tuple[IndexEntry, ...]
) -> UnknownImageError:
    tags = sorted({_tags_of(entry)[0] for entry in entries if _tags_of(entry)})
    asked = f'no image is tagged "{wanted.tag}"' if wanted.tag else "no image is tagged latest"
    return UnknownImageError(
        f"{asked} in the layout {source.what}",
        hint=f"it has {', '.join(tags)}" if tags else "its images have no tags: name one by digest",
    )
