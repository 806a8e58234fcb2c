"""What a runtime says when it can't start a container, as an error of ours.

Runtimes write a log of JSON lines, {"level": "error", "msg": ...}; runtime.md leaves the words to
them, so whether the program was missing is read out of those, as Docker does it.
"""

from __future__ import annotations

import json
import os
from typing import ClassVar, cast

from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError
from cache.errors import PybuildError

_MAX_LOG_BYTES = 1 << 16
_MAX_TEXT = 1000
_NOT_FOUND = ("executable file not found", "no such file or directory")
_NOT_EXECUTABLE = ("permission denied", "is a directory", "exec format error")
_ABOUT_PROGRAM = ("exec", "executable")


class RuntimeFailedError(PybuildError):
    """Another runtime could not do what it was asked for."""

    code: ClassVar[str] = "runtime-failed"


def failure(program: str, command: str, log: str, *, wanted: str) -> PybuildError:
    """The error for `log`, what the runtime has written; `wanted`: the container's program."""
    said = last_error(log)
    name = os.path.basename(program)
    lower = said.lower()
    if wanted.lower() in lower and any(word in lower for word in _ABOUT_PROGRAM):
        if any(text in lower for text in _NOT_FOUND):
            return ProgramNotFoundError(
                f"there is no program {wanted} in the container: {said[:_MAX_TEXT]}"
            )
        if any(text in lower for text in _NOT_EXECUTABLE):
            return ProgramNotExecutableError(f"{wanted} cannot be executed: {said[:_MAX_TEXT]}")
    text = said[:_MAX_TEXT] or "it said nothing"
    return RuntimeFailedError(f"{name} {command} failed: {text}")


def last_error(log: str) -> str:
    """The message of the last error; the last line where none is one."""
    found = ""
    lines = log.splitlines()
    for line in lines:
        try:
            entry: object = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            fields = cast("dict[str, object]", entry)
            if fields.get("level") in {"error", "fatal"} and isinstance(fields.get("msg"), str):
                found = str(fields["msg"])
    return found or (lines[-1] if lines else "")


def log_text(path: str) -> str:
    """What the runtime has written; "" where it has not."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_LOG_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
