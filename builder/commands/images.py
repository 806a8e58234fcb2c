"""List, name and remove the images of the store, and tell how one was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from builder.engine import Engine
from builder.errors import UsageError
from builder.frontend.wildcard import Wildcard
from builder.image.assemble import seconds_of
from builder.image.model import HistoryEntry, StoredImage
from builder.image.reference import Reference, parse_reference
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.worker.image_step import find_image
from cache.digest import Digest
from cache.errors import PybuildError

FILTERS = ("dangling", "label", "before", "since", "reference")


class ImageInUseError(PybuildError):
    """A container needs the image, or other names do."""

    code: ClassVar[str] = "image-in-use"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image under one of its names; without a name it is listed once."""

    image: StoredImage
    reference: Reference | None

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


@dataclass(frozen=True, slots=True)
class Removed:
    """What removing an image took away."""

    untagged: tuple[str, ...]  # normal forms
    deleted: Digest | None


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
    if not image.names:
        return [ListedImage(image, None)]
    return [ListedImage(image, parse_reference(name)) for name in image.names]


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
            return lambda line: (line.reference is None) is wanted
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
    """Give the image `source` another name."""
    reference = parse_reference(name)
    if reference.digest is not None:
        raise UsageError(f'"{name}" has a digest', hint="a new name is NAME[:TAG]")
    engine.images.tag(reference.normal, find_image(engine, source).image_id)


def history(engine: Engine, text: str) -> tuple[HistoryLine, ...]:
    """The instructions that made the image, the latest first."""
    image = find_image(engine, text)
    sizes = iter(image.layer_sizes)
    lines = [
        HistoryLine(entry, 0 if entry.empty_layer else next(sizes, 0), None)
        for entry in image.config.history
    ]
    if lines:
        lines[-1] = HistoryLine(lines[-1].entry, lines[-1].size_bytes, image.image_id)
    return tuple(reversed(lines))


def remove_image(engine: Engine, text: str, *, force: bool) -> Removed:
    """Take the name away; the image too, if that was its last one or `text` is its id.

    ImageInUseError where a container was made from it, unless `force`; and, for an id, where it
    has names in several repositories. A running container's image stays in any case.
    """
    image = find_image(engine, text)
    name = _name_meant(image, text)
    if name is not None and len(image.names) > 1:
        engine.images.untag(name)
        return Removed((name,), None)
    _check_names(image, by_name=name is not None, force=force)
    _check_containers(engine, image, text, force=force)
    engine.images.remove(image.image_id)
    return Removed(image.names, image.image_id)


def _name_meant(image: StoredImage, text: str) -> str | None:
    """The image's name that `text` is; None where it is the id or its beginning."""
    if image.image_id.removeprefix("sha256:").startswith(text.removeprefix("sha256:")):
        return None
    return parse_reference(text).normal


def _check_names(image: StoredImage, *, by_name: bool, force: bool) -> None:
    repositories = {parse_reference(name).repository for name in image.names}
    if len(repositories) > 1 and not by_name and not force:
        raise ImageInUseError(
            f"the image {image.image_id[7:19]} has several names: "
            + ", ".join(parse_reference(name).familiar for name in image.names),
            hint="remove it by name, or all of them with -f",
        )


def _check_containers(engine: Engine, image: StoredImage, text: str, *, force: bool) -> None:
    for report in _users(engine, image.image_id):
        is_running = report.status == "running"
        if is_running or not force:
            state = "running" if is_running else "stopped"
            raise ImageInUseError(
                f"the {state} container {report.container.name} was made from {text}",
                hint=f"remove the container first: pybuild rm {report.container.name}"
                if is_running
                else "remove the container first, or use -f",
            )


def _users(engine: Engine, image_id: Digest) -> list[ContainerReport]:
    reports = Containers(engine.state, engine.database, engine.now).reports()
    return [report for report in reports if report.container.image_id == image_id]
