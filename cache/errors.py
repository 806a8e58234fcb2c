"""The base of every error that a user may see."""

from __future__ import annotations

from typing import ClassVar


class PybuildError(Exception):
    """Something that the user can be told in a sentence, with what to do about it.

    `code` is stable: tests and scripts match on it, never on the words. `exit_status` is the
    process's when this error ends it; the table of statuses stands in `builder.errors`.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CorruptContentError(PybuildError):
    """Bytes that are not what their digest or size says."""

    code: ClassVar[str] = "corrupt-content"


class NotFoundError(PybuildError):
    """The store does not hold what was asked for."""

    code: ClassVar[str] = "not-found"


class InvalidDigestError(PybuildError):
    """Text that is no digest of the kind that the store uses."""

    code: ClassVar[str] = "invalid-digest"


class StoreError(PybuildError):
    """The store itself cannot be used: not writable, of another version, full."""

    code: ClassVar[str] = "store"
