"""Errors of the build and of the runner, and the exit statuses of the program."""

from __future__ import annotations

from typing import ClassVar

from builder.location import Span
from cache.errors import PybuildError

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_RUN_ENGINE = 125  # `pybuild run`: the container was not started
EXIT_RUN_NOT_EXECUTABLE = 126
EXIT_RUN_NOT_FOUND = 127
EXIT_SIGNAL_BASE = 128  # and the signal's number
EXIT_INTERRUPTED = 130


class SourceError(PybuildError):
    """An error about a place in a Dockerfile (or .dockerignore)."""

    code: ClassVar[str] = "source"

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.span = span


class SyntaxProblemError(SourceError):
    """Text that does not follow the Dockerfile language."""

    code: ClassVar[str] = "syntax"


class UnknownStageError(SourceError):
    """`--from`, `--target` or a mount names a stage that the Dockerfile doesn't have."""

    code: ClassVar[str] = "unknown-stage"


class UnknownImageError(SourceError):
    """FROM or `--from` names an image that is neither stored nor supplied."""

    code: ClassVar[str] = "unknown-image"


class UnsupportedError(SourceError):
    """Asked for by name and not there: never ignored in silence."""

    code: ClassVar[str] = "unsupported"


class StepFailedError(SourceError):
    """A step of the build could not be done: COPY of a missing file, a RUN that can't start."""

    code: ClassVar[str] = "step-failed"


class ProcessFailedError(StepFailedError):
    """A RUN's process ended with a status other than 0."""

    code: ClassVar[str] = "process-failed"

    def __init__(
        self,
        message: str,
        *,
        exit_status: int,
        output_tail: tuple[str, ...],
        span: Span | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, span=span, hint=hint)
        self.process_status = exit_status
        self.output_tail = output_tail


class IsolationError(PybuildError):
    """The kernel or its settings deny what the sandbox needs; the hint says what to do."""

    code: ClassVar[str] = "isolation"


class UsageError(PybuildError):
    """The command line does not make sense."""

    code: ClassVar[str] = "usage"
    exit_status: ClassVar[int] = EXIT_USAGE
