"""The exit status of `run` and `exec` where they fail themselves."""

from __future__ import annotations

from builder.errors import EXIT_BUG, EXIT_RUN_ENGINE


def status_of(error: BaseException) -> int:
    """Show the error; its status, which no program could have given by itself."""
    from builder.cli import failure
    from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError

    status = failure.report(error)
    if isinstance(error, (ProgramNotFoundError, ProgramNotExecutableError, KeyboardInterrupt)):
        return status
    return EXIT_BUG if status == EXIT_BUG else EXIT_RUN_ENGINE
