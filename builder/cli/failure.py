"""Errors as people read them, on stderr: where, what, what to do. Printed nowhere else."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from builder.cli.termination import Terminated
from builder.errors import (
    EXIT_BUG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_SIGNAL_BASE,
    ProcessFailedError,
    SourceError,
)
from builder.location import Span
from cache.errors import PybuildError

_OUTPUTS = (1, 2)

CONTEXT_LINES = 2
"""Lines shown before and after the ones that an error is about."""

FULL_DISK_HINT = (
    "make room on the file system of the store (PYBUILD_ROOT) and of what is written; nothing that"
    " was built before is lost"
)
MAX_COLUMNS = 200
"""Of a line that is shown."""


def report(error: BaseException) -> int:
    """Print `error` and give the process's exit status."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        _silence_output()
        return EXIT_FAILED
    told = _told(error)
    if told is None:
        return _report_bug(error)
    text, status = told
    sys.stderr.write(text)
    if os.environ.get("PYBUILD_DEBUG") and isinstance(error, Exception):
        traceback.print_exception(error)
    return status


def _told(error: BaseException) -> tuple[str, int] | None:
    """What is printed of an error, and the exit status; None for one that is our bug."""
    match error:
        case Terminated(number=number):
            return "\nterminated\n", EXIT_SIGNAL_BASE + number
        case KeyboardInterrupt():
            return "\ninterrupted\n", EXIT_INTERRUPTED
        case PybuildError():
            return text_of(error), error.exit_status
        case OSError() if error.errno is not None:
            where = f"{error.filename}: " if error.filename else ""
            is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            hint = f"hint: {FULL_DISK_HINT}\n" if is_full else ""
            return f"ERROR: {where}{error.strerror}\n{hint}", EXIT_FAILED
        case _:
            return None


def text_of(error: PybuildError) -> str:
    """The error's text, as printed: the output's end, the lines, the message, the hint."""
    parts: list[str] = []
    if isinstance(error, ProcessFailedError) and error.output_tail:
        parts += ["------", *(f" > {line}" for line in error.output_tail), "------"]
    if isinstance(error, SourceError) and error.span is not None:
        parts += quoted_lines(error.span)
    parts.append(f"ERROR: {_printable(error.message)}")
    if error.hint:
        parts.append(f"hint: {_printable(error.hint)}")
    return "\n".join(parts) + "\n"


def quoted_lines(span: Span) -> list[str]:
    """The lines of `span` among their neighbours, marked, as BuildKit shows them."""
    lines = [line.removesuffix("\r") for line in span.source.text.split("\n")]
    lines = lines[:-1] if lines[-1] == "" else lines
    first = max(1, span.first_line - CONTEXT_LINES)
    last = min(len(lines), span.last_line + CONTEXT_LINES)
    rule = "-" * 20
    column = f":{span.column}" if span.column else ""
    shown = [f"{span.source.name}:{span.first_line}{column}", rule]
    for number in range(first, last + 1):
        mark = ">>>" if span.first_line <= number <= span.last_line else "   "
        shown.append(f"{number:4} | {mark} {_shown(lines[number - 1])}".rstrip())
        if number == span.first_line and span.width and 0 < span.column <= MAX_COLUMNS:
            width = min(span.width, MAX_COLUMNS - span.column + 1)
            shown.append(" " * (10 + span.column) + "^" * width)
    shown.append(rule)
    return shown


def _shown(line: str) -> str:
    """A line of somebody's file: cut where it is long, without what a terminal would act on."""
    cut = line if len(line) <= MAX_COLUMNS else f"{line[: MAX_COLUMNS - 1]}…"
    return _printable(cut)


def _printable(text: str) -> str:
    """Without what a terminal would act on: names in it may come from anywhere."""
    return "".join(
        c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _report_bug(error: BaseException) -> int:
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix="pybuild-bug-", suffix=".txt", delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    sys.stderr.write(
        f"ERROR: internal error: {type(error).__name__}: {error}\n"
        f"hint: this is a bug in pybuild; its traceback is in {file.name}\n"
    )
    if os.environ.get("PYBUILD_DEBUG"):
        traceback.print_exception(error)
    return EXIT_BUG


def _reader_has_gone() -> bool:
    """Whether nobody reads our output any more: then there is nobody to tell that either."""
    import select

    poller = select.poll()
    for fd in _OUTPUTS:
        poller.register(fd, 0)
    return any(events & select.POLLERR for _, events in poller.poll(0))


def _silence_output() -> None:
    """Let the interpreter's last flush not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in _OUTPUTS:
        os.dup2(null, fd)
