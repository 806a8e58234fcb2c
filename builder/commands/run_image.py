"""Which image a container is made from: the store's, or a registry's."""

from __future__ import annotations

from typing import Literal

from builder.engine import Engine
from builder.errors import UnknownImageError
from builder.events import Event
from builder.image.model import Platform, StoredImage
from cache.errors import PybuildError
from cache.record import record, replace

PullPolicy = Literal["missing", "always", "newer", "never"]


@record
class ImageChoice:
    """What the command line says of the image besides its name."""

    pull: PullPolicy = "missing"
    platform: Platform | None = None  # None: the one that the name means
    quiet: bool = False  # say nothing of what is fetched


def chosen_image(engine: Engine, text: str, choice: ImageChoice) -> StoredImage:
    """The image. UnknownImageError says why there is none."""
    engine = replace(engine, emit=_say_nothing) if choice.quiet else engine
    image = _stored(engine, text, choice)
    match choice.pull:
        case "missing":
            return image or _pulled(engine, text, choice)
        case "never":
            if image is None:
                raise UnknownImageError(
                    f"the store has no image {text}", hint="--pull never asks no registry for it"
                )
            return image
        case "always":
            return _pulled(engine, text, choice)
        case "newer":
            return _newer(engine, text, choice, image)


def _stored(engine: Engine, text: str, choice: ImageChoice) -> StoredImage | None:
    if choice.platform is None:
        return engine.images.find(text)
    return engine.images.find_for(text, choice.platform)


def _pulled(engine: Engine, text: str, choice: ImageChoice) -> StoredImage:
    if choice.pull == "missing" and choice.platform is None:
        from builder.commands.pull import pull_missing  # noqa: PLC0415 - few runs pull

        return pull_missing(engine, text)
    from builder.commands.build import resolver_of  # noqa: PLC0415 - few runs pull

    with engine.leases.hold() as lease:
        always = choice.pull != "missing"
        resolver_of(engine, lease, always=always).resolve(text, choice.platform)
        image = _stored(engine, text, choice)
    if image is None:
        raise UnknownImageError(f"there is no image {text} for {choice.platform}")
    return image


def _newer(
    engine: Engine, text: str, choice: ImageChoice, image: StoredImage | None
) -> StoredImage:
    """The registry's, and where it cannot be asked the one that there is."""
    try:
        return _pulled(engine, text, choice)
    except PybuildError:
        if image is None:
            raise
        return image


def _say_nothing(event: Event) -> None:
    """An Emit for --quiet."""
