"""Where images and named contexts come from: each looked up once, errors at their place."""

from __future__ import annotations

from collections.abc import Iterable

from builder.errors import SourceError, UnknownImageError
from builder.frontend.plan import FrontendOptions, ImageResolver, ResolvedImage
from builder.frontend.problems import nearest, place
from builder.image.errors import InvalidReferenceError
from builder.image.model import Platform
from builder.image.reference import parse_reference
from builder.location import Span
from cache.errors import PybuildError
from cache.record import record

SCRATCH = "scratch"
MAIN_CONTEXT = "context"
_NEVER_CONTEXTS = frozenset({SCRATCH, MAIN_CONTEXT})


@record
class StageSource:
    """A stage of this file."""

    index: int


@record
class ContextSource:
    """A directory that `--build-context` names."""

    name: str  # as given there


@record
class ImageSource:
    """An image; None is scratch."""

    image: ResolvedImage | None


OutsideSource = ContextSource | ImageSource
Source = StageSource | OutsideSource


class Catalog:
    """Finds what isn't a stage. Remembers what it found, so that a build sees one image a name."""

    def __init__(
        self, options: FrontendOptions, resolver: ImageResolver, stage_names: Iterable[str]
    ) -> None:
        self._resolver = resolver
        self._directories = {context_key(name): name for name in options.directory_contexts}
        self._images = {context_key(name): text for name, text in options.image_contexts.items()}
        self._platform = options.platform
        self._stage_names = tuple(stage_names)
        self._found: dict[tuple[str, Platform | None], ResolvedImage] = {}

    def context(self, name: str, platform: Platform | None, span: Span) -> OutsideSource | None:
        """The `--build-context` of that name, which takes the place of an image or a stage."""
        if not (self._directories or self._images) or name.lower() in _NEVER_CONTEXTS:
            return None
        key = context_key(name)
        if key in self._directories:
            return ContextSource(self._directories[key])
        if key in self._images:
            return ImageSource(self._resolve(self._images[key], platform, span))
        return None

    def outside(self, name: str, platform: Platform | None, span: Span) -> OutsideSource:
        """What a name means that is no stage's: a named context, scratch or an image."""
        if name == SCRATCH:
            return ImageSource(None)
        check_reference(name, span)
        found = self.context(name, platform, span)
        return found or ImageSource(self._resolve(name, platform, span))

    def _resolve(self, name: str, platform: Platform | None, span: Span) -> ResolvedImage:
        """Without a platform of its own, a name stands for the target's, if that was given."""
        platform = platform or self._platform
        key = (name, platform)
        if key not in self._found:
            try:
                self._found[key] = self._resolver.resolve(name, platform)
            except SourceError as error:
                place(error, span)
                error.hint = self._stage_hint(name) or error.hint
                raise
            except PybuildError as error:
                raise UnknownImageError(error.message, span=span, hint=error.hint) from error
        return self._found[key]

    def _stage_hint(self, name: str) -> str | None:
        near = nearest(name, self._stage_names)
        return f'did you mean the stage "{near}"?' if near else None


def context_key(name: str) -> str:
    """Equal for names that mean one context: base, base:latest, docker.io/library/base."""
    try:
        familiar = parse_reference(name).familiar
    except InvalidReferenceError:
        return name
    return familiar.removesuffix(":latest")


def check_reference(name: str, span: Span) -> None:
    """Refuse what can be no image's name, also where nothing needs the image."""
    try:
        parse_reference(name)
    except InvalidReferenceError as error:
        message = f'failed to parse stage name "{name}": invalid reference format: {error.message}'
        failure = UnknownImageError(message, span=span, hint=error.hint)
        raise failure from error
