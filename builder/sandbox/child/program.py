"""Finding the program, inside the root filesystem, and becoming it."""

from __future__ import annotations

import errno
import os

from builder.sandbox.child.wire import Report

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_HERE = {errno.ENOENT, errno.ENOTDIR}


def execute(args: tuple[str, ...], env: tuple[str, ...], report: Report) -> None:
    """Replace this process. Only returns by OSError: ENOENT where no such program was found.

    ENOEXEC, for a script without a `#!` line, is an error as in runc: no shell is guessed.
    """
    environment = environment_of(env)
    denied: OSError | None = None
    for path in candidates(args[0], environment.get("PATH", _DEFAULT_PATH)):
        try:
            os.execve(path, args, environment)  # noqa: S606 - what this module is for
        except OSError as error:
            if error.errno in _NOT_HERE and os.path.exists(path):
                report.doing("interpreter", path)  # there, but not what its first line names
                raise
            if error.errno not in {*_NOT_HERE, errno.EACCES}:
                report.doing("execute", path)
                raise
            denied = error if error.errno == errno.EACCES else denied
    report.doing("execute", args[0])
    raise denied or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def candidates(program: str, search_path: str) -> tuple[str, ...]:
    """The paths to try. An empty element of the search path does not stand for the cwd."""
    if "/" in program:
        return (program,)
    if not program:
        return ()
    return tuple(f"{directory}/{program}" for directory in search_path.split(":") if directory)


def environment_of(env: tuple[str, ...]) -> dict[str, str]:
    """The variables; of two with one name the later counts."""
    pairs = (entry.partition("=") for entry in env)
    return {name: value for name, separator, value in pairs if name and separator}
