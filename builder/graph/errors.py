"""What can be wrong with a build graph that comes from outside."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class InvalidOperationError(PybuildError):
    """Text that is no operation in the form that the codec writes."""

    code: ClassVar[str] = "invalid-operation"
