"""What can be wrong with a process that is to be started; IsolationError is in builder.errors."""

from __future__ import annotations

from typing import ClassVar

from builder.errors import EXIT_RUN_NOT_EXECUTABLE, EXIT_RUN_NOT_FOUND
from cache.errors import PybuildError


class AccountError(PybuildError):
    """A user or group that the image does not have, or that is no id."""

    code: ClassVar[str] = "unknown-account"


class ProgramNotFoundError(PybuildError):
    """The root filesystem has no such program."""

    code: ClassVar[str] = "program-not-found"
    exit_status: ClassVar[int] = EXIT_RUN_NOT_FOUND


class ProgramNotExecutableError(PybuildError):
    """The program is there, and the kernel does not execute it: mode, format, a directory."""

    code: ClassVar[str] = "program-not-executable"
    exit_status: ClassVar[int] = EXIT_RUN_NOT_EXECUTABLE


class WorkingDirectoryError(PybuildError):
    """The working directory is none, or the user may not enter it."""

    code: ClassVar[str] = "working-directory"
    exit_status: ClassVar[int] = EXIT_RUN_NOT_EXECUTABLE


class MountTargetError(PybuildError):
    """A mount that was asked for cannot be put where it was asked for."""

    code: ClassVar[str] = "mount-target"


class LimitError(PybuildError):
    """A limit that was asked for cannot be set here."""

    code: ClassVar[str] = "limit"
