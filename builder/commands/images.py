"""List and name the images of the store, and tell how one was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from builder.engine import Engine
from builder.errors import UsageError
from builder.frontend.wildcard import Wildcard
from builder.image.assemble import seconds_of
from builder.image.imagestore import manifest_digest
from builder.image.model import HistoryEntry, Platform, StoredImage
from builder.image.reference import Reference, new_name, parse_reference
from builder.runtime.journal import Journal
from builder.worker.stored_images import find_image, platforms_of
from cache.digest import Digest

FILTERS = ("dangling", "label", "before", "since", "reference")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image under one of its tags; without one it is listed once a repository, or once."""

    image: StoredImage
    reference: Reference | None
    digest: Digest | None = None  # of its manifest, where it came with one

    @property
    def size_bytes(self) -> int:
        """Of all layers, unpacked."""
        return sum(self.image.layer_sizes)


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """An instruction and what it added; the image's own id stands at the latest one."""

    entry: HistoryEntry
    size_bytes: int
    image_id: Digest | None


def list_images(
    engine: Engine, *, pattern: str = "", filters: Iterable[str] = ()
) -> tuple[ListedImage, ...]:
    """The images that match the name pattern and all of the filters ("dangling=true")."""
    tests = [_filter(engine, text) for text in filters]
    if pattern:
        tests.append(_by_reference(pattern))
    listed = (line for image in engine.images.list() for line in _lines(image))
    return tuple(line for line in listed if all(test(line) for test in tests))


def _lines(image: StoredImage) -> list[ListedImage]:
    """A name for several platforms is listed with the image that it means first."""
    if not image.names:
        return [ListedImage(image, None)]
    shared = set(image.platform_names)
    references = [parse_reference(name) for name in image.names if name not in shared]
    tagged = [one for one in references if one.tag]
    return [ListedImage(image, one, manifest_digest(image, one)) for one in tagged or references]


_Test = Callable[[ListedImage], bool]


def _filter(engine: Engine, text: str) -> _Test:
    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise UsageError(
            f'--filter "{text}" is not known', hint=f"NAME=VALUE with one of {', '.join(FILTERS)}"
        )
    match name:
        case "dangling":
            wanted = value.lower() in {"1", "true"}
            return lambda line: (line.reference is None or not line.reference.tag) is wanted
        case "label":
            return _by_label(value)
        case "reference":
            return _by_reference(value)
        case _:
            limit = find_image(engine, value)
            return _by_age(limit, earlier=name == "before")


def _by_label(text: str) -> _Test:
    key, equals, value = text.partition("=")

    def test(line: ListedImage) -> bool:
        labels = dict(line.image.config.config.labels)
        return key in labels and (not equals or labels[key] == value)

    return test


def _by_reference(pattern: str) -> _Test:
    """By the short name, with or without its tag; `*` stops at a slash."""
    wildcard = Wildcard(pattern)

    def test(line: ListedImage) -> bool:
        reference = line.reference
        if reference is None:
            return False
        names = (reference.familiar, reference.familiar_repository, reference.normal)
        return any(wildcard.matches(name) for name in names)

    return test


def _by_age(limit: StoredImage, *, earlier: bool) -> _Test:
    limit_s = created_at(limit) or 0.0

    def test(line: ListedImage) -> bool:
        created_s = created_at(line.image) or 0.0
        if line.image.image_id == limit.image_id:
            return False
        return created_s < limit_s if earlier else created_s > limit_s

    return test


def created_at(image: StoredImage) -> float | None:
    """When the image was made, as it says itself; seconds since the epoch."""
    return seconds_of(image.config.created) if image.config.created else None


def tag(engine: Engine, source: str, name: str) -> None:
    """Give the image `source` another name, or the images that it is for several platforms."""
    image = find_image(engine, source)
    if platforms := platforms_of(engine, source):
        engine.images.tag_platforms(new_name(name), platforms, image)
    else:
        engine.images.tag(new_name(name), image.image_id)
    Journal(engine.state).note("image", "tag", image.image_id, name=name)


def history(engine: Engine, text: str, platform: Platform | None = None) -> tuple[HistoryLine, ...]:
    """The instructions that made the image, the latest first."""
    image = find_image(engine, text, platform)
    sizes = iter(image.layer_sizes)
    lines = [
        HistoryLine(entry, 0 if entry.empty_layer else next(sizes, 0), None)
        for entry in image.config.history
    ]
    if lines:
        lines[-1] = HistoryLine(lines[-1].entry, lines[-1].size_bytes, image.image_id)
    return tuple(reversed(lines))
