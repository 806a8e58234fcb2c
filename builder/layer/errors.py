"""What can be wrong with an archive or with a tree that becomes one."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class BadArchiveError(PybuildError):
    """An archive that is damaged, cut short, hostile, or of a kind that is not read."""

    code: ClassVar[str] = "bad-archive"


class PackError(PybuildError):
    """A tree that no layer can hold as it is."""

    code: ClassVar[str] = "pack"
