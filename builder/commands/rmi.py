"""Remove images, or names of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from builder.engine import Engine
from builder.image.imagestore import stored_name
from builder.image.model import Platform, StoredImage
from builder.image.reference import familiar_name, parse_reference
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.journal import Journal
from builder.worker.stored_images import find_image, images_of
from cache.digest import Digest
from cache.errors import PybuildError


class ImageInUseError(PybuildError):
    """A container needs the image, or other names do."""

    code: ClassVar[str] = "image-in-use"


@dataclass(frozen=True, slots=True)
class Removed:
    """What removing an image took away."""

    untagged: tuple[str, ...] = ()  # normal forms
    deleted: tuple[Digest, ...] = ()


def remove_image(
    engine: Engine, text: str, *, force: bool, platform: Platform | None = None
) -> Removed:
    """Take the name away; the image too, if that was its last one or `text` is its id.

    A name for several platforms goes with all of its images, or with a `platform` that one's image
    alone. ImageInUseError where a container was made from one, unless `force`; and, for an id,
    where it has names in several repositories. A running container's image stays in any case.
    """
    removed = _remove_image(engine, text, force=force, platform=platform)
    journal = Journal(engine.state)
    for name in removed.untagged:
        journal.note("image", "untag", name, name=familiar_name(name))
    for image_id in removed.deleted:
        journal.note("image", "delete", image_id, name=image_id)
    return removed


def _remove_image(engine: Engine, text: str, *, force: bool, platform: Platform | None) -> Removed:
    image = find_image(engine, text, platform)
    name = _name_meant(image, text)
    names = () if name is None else _names_with(image, name)
    if platform is not None and images_of(engine, text):
        return _remove_platform(engine, image, text, force=force)
    goes = [one for one in images_of(engine, text) or (image,) if set(one.names) <= set(names)]
    if name is not None and not goes:
        return _untagged(engine, names)
    _check_names(image, by_name=name is not None, force=force)
    for one in goes or [image]:
        _check_containers(engine, one, text, force=force)
    untagged = names or image.names
    _untagged(engine, untagged)
    for one in goes or [image]:
        engine.images.remove(one.image_id)
    return Removed(untagged, tuple(one.image_id for one in goes or [image]))


def _untagged(engine: Engine, names: tuple[str, ...]) -> Removed:
    for name in names:
        engine.images.untag(name)
    return Removed(names)


def _remove_platform(engine: Engine, image: StoredImage, text: str, *, force: bool) -> Removed:
    """The image of one platform; its names go on meaning the others."""
    _check_containers(engine, image, text, force=force)
    engine.images.remove(image.image_id)
    return Removed(deleted=(image.image_id,))


def _name_meant(image: StoredImage, text: str) -> str | None:
    """The image's name that `text` is; None where it is the id or its beginning."""
    if image.image_id.removeprefix("sha256:").startswith(text.removeprefix("sha256:")):
        return None
    return stored_name(parse_reference(text))


def _names_with(image: StoredImage, name: str) -> tuple[str, ...]:
    """The names that go with `name`: with a repository's last tag, its digests."""
    repository = parse_reference(name).repository
    related = [one for one in image.names if parse_reference(one).repository == repository]
    tags = [one for one in related if "@" not in one]
    return tuple(related) if tags == [name] else (name,)


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
        is_running = report.is_running
        if is_running or not force:
            state = "running" if is_running else "stopped"
            raise ImageInUseError(
                f"the {state} container {report.container.name} was made from {text}, or mounts it",
                hint=f"remove the container first: pybuild rm {report.container.name}"
                if is_running
                else "remove the container first, or use -f",
            )


def _users(engine: Engine, image_id: Digest) -> list[ContainerReport]:
    reports = Containers(engine.state, engine.database, engine.now).reports()
    return [report for report in reports if image_id in report.container.image_ids]
