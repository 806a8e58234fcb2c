"""What can be wrong with images and their names."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class InvalidImageError(PybuildError):
    """A manifest, config, index or archive that does not follow its specification."""

    code: ClassVar[str] = "invalid-image"


class UnsupportedImageError(PybuildError):
    """Well-formed, and of a kind that this program does not take: an artifact, schema 1."""

    code: ClassVar[str] = "unsupported-image"


class InvalidReferenceError(PybuildError):
    """Text that is no image name."""

    code: ClassVar[str] = "invalid-reference"


class AmbiguousImageError(PybuildError):
    """The beginning of an id that several images have."""

    code: ClassVar[str] = "ambiguous-image"
