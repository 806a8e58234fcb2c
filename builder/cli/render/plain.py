"""Progress as plain lines, as BuildKit's `--progress=plain`: for logs, pipes and CI.

#3 [build 2/4] RUN make
#3 0.412 cc -c main.c
#3 DONE 1.9s
"""

from __future__ import annotations

import threading
import time
from typing import TextIO

from builder.cli.failure import quoted_lines
from builder.events import (
    Event,
    StepCached,
    StepFailed,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)

PROGRESS_INTERVAL_S = 1.0
MAX_LINE_BYTES = 1 << 16
"""A line without an end is shown in pieces of about this length."""


class PlainRenderer:
    """Writes a line or more an event; safe from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._guard = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._partial: dict[str, bytearray] = {}
        self._progress_shown: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        with self._guard:
            text = "".join(f"{line}\n" for line in self._lines(event))
            if text:
                self._stream.write(text)
                self._stream.flush()

    def close(self) -> None:
        """Nothing is kept back."""

    def _lines(self, event: Event) -> list[str]:
        match event:
            case StepStarted(vertex=vertex, name=name):
                self._started[vertex] = time.monotonic()
                return ["", f"#{self._number(vertex)} {name}"]
            case StepCached(vertex=vertex, name=name):
                number = self._number(vertex)
                return ["", f"#{number} {name}", f"#{number} CACHED"]
            case StepOutput(vertex=vertex, output=output):
                return self._output(vertex, output)
            case StepProgress():
                return self._progress(event)
            case StepFinished() | StepFailed():
                return self._end(event)
            case Warned():
                return warning_lines(event)

    def _end(self, event: StepFinished | StepFailed) -> list[str]:
        how = f"DONE {event.seconds:.1f}s"
        if isinstance(event, StepFailed):
            how = f"ERROR: {event.message}"
        return [*self._rest(event.vertex), f"#{self._number(event.vertex)} {how}"]

    def _number(self, vertex: str) -> int:
        return self._numbers.setdefault(vertex, len(self._numbers) + 1)

    def _output(self, vertex: str, output: bytes) -> list[str]:
        partial = self._partial.setdefault(vertex, bytearray())
        first, newline, rest = output.partition(b"\n")
        partial += first
        if not newline and len(partial) < MAX_LINE_BYTES:
            return []
        lines = [bytes(partial), *rest.split(b"\n")] if newline else [bytes(partial), b""]
        self._partial[vertex] = bytearray(lines.pop())
        return [self._output_line(vertex, line) for line in lines]

    def _rest(self, vertex: str) -> list[str]:
        rest = self._partial.pop(vertex, None)
        return [self._output_line(vertex, rest)] if rest else []

    def _output_line(self, vertex: str, line: bytes | bytearray) -> str:
        elapsed = time.monotonic() - self._started.get(vertex, time.monotonic())
        text = line.decode(errors="replace").rstrip("\r")
        return f"#{self._number(vertex)} {elapsed:.3f} {text}"

    def _progress(self, event: StepProgress) -> list[str]:
        now = time.monotonic()
        shown = self._progress_shown.setdefault(event.vertex, now)
        if now - shown < PROGRESS_INTERVAL_S:
            return []
        self._progress_shown[event.vertex] = now
        total = f" / {event.total_bytes / 1e6:.1f}MB" if event.total_bytes else ""
        done = f"{event.done_bytes / 1e6:.1f}MB{total}"
        return [f"#{self._number(event.vertex)} {event.what} {done}"]


def warning_lines(event: Warned) -> list[str]:
    """A warning with its place, as lines."""
    name = f"{event.rule}: " if event.rule else ""
    where = f" (line {event.span.first_line})" if event.span else ""
    lines = [f"WARNING: {name}{event.message}{where}"]
    if event.span is not None:
        lines += quoted_lines(event.span)
    return lines
