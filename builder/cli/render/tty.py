"""Progress on a terminal: finished steps scroll by, a line for each running one stays below.

A running step's line shows its name, the last line it wrote and for how long it runs.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Never, TextIO

from tqdm import tqdm

from builder.cli.render.plain import warning_lines
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

REFRESH_S = 0.2
START_OF_LINE = "\r\x1b[K"
_UNKNOWN_COLUMNS = 80
MAX_LINES = 10
"""Running steps that have a line; more than these run unseen."""


@dataclass(slots=True)
class _Running:
    name: str
    started: float
    bar: tqdm[Never] | None
    last_line: str = ""


class TtyRenderer:
    """Draws on `stream`, a terminal; safe from several threads. `close` clears the lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._guard = threading.RLock()
        self._running: dict[str, _Running] = {}
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        with self._guard:
            self._show(event)

    def close(self) -> None:
        """Take the running steps' lines away. Idempotent."""
        self._closed.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._guard:
            for step in self._running.values():
                if step.bar is not None:
                    step.bar.close()
            self._running.clear()

    def _show(self, event: Event) -> None:
        match event:
            case StepStarted(vertex=vertex, name=name):
                self._start_ticking()
                self._running[vertex] = _Running(name, time.monotonic(), self._line())
                self._draw(self._running[vertex])
            case StepCached(name=name):
                self._write(self._fitting(" => CACHED ", name, ""))
            case StepOutput(vertex=vertex, output=output):
                self._note(vertex, output.decode(errors="replace"))
            case StepProgress(vertex=vertex, what=what, done_bytes=done, total_bytes=total):
                of_total = f" / {total / 1e6:.1f}MB" if total else ""
                self._note(vertex, f"{what} {done / 1e6:.1f}MB{of_total}")
            case StepFinished(vertex=vertex, seconds=seconds):
                self._end(vertex, f"{seconds:6.1f}s")
            case StepFailed(vertex=vertex, seconds=seconds):
                self._end(vertex, f"{seconds:6.1f}s  FAILED")
            case Warned():
                self._write("\n".join(warning_lines(event)))

    def _line(self) -> tqdm[Never] | None:
        if sum(step.bar is not None for step in self._running.values()) >= MAX_LINES:
            return None
        return tqdm(bar_format="{desc}", file=self._stream, leave=False, dynamic_ncols=True)

    def _draw(self, step: _Running) -> None:
        if step.bar is not None:
            elapsed = time.monotonic() - step.started
            step.bar.set_description_str(f" -> {elapsed:5.1f}s {step.name}  {step.last_line}")

    def _note(self, vertex: str, text: str) -> None:
        step = self._running.get(vertex)
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        if step is not None and lines:
            step.last_line = "".join(c for c in lines[-1] if c.isprintable())

    def _end(self, vertex: str, how: str) -> None:
        step = self._running.pop(vertex, None)
        if step is None:
            return
        # a line taken out of the middle leaves a hole: take all away, bottom first, and draw anew
        others = list(self._running.values())
        for one in [*reversed(others), step]:
            if one.bar is not None:
                one.bar.close()
                one.bar = None
        self._write(self._fitting(" => ", step.name, f"  {how}"))
        for one in others[:MAX_LINES]:
            one.bar = self._line()
            self._draw(one)

    def _fitting(self, before: str, name: str, after: str) -> str:
        """One line of the terminal, with as much of `name` as has room."""
        columns = _columns_of(self._stream)
        room = max(20, columns - len(before) - len(after) - 1)
        return before + (name if len(name) <= room else name[: room - 1] + "…") + after

    def _write(self, text: str) -> None:
        self._stream.write(START_OF_LINE)  # where tqdm leaves the cursor depends on its lines
        tqdm.write(text, file=self._stream)

    def _start_ticking(self) -> None:
        """With the first step and not before: only a process without threads gets a user namespace.

        unshare(2) refuses CLONE_NEWUSER to others, and a renderer is made before an engine is.
        """
        if self._ticker is None and not self._closed.is_set():
            self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        while not self._closed.wait(REFRESH_S):
            with self._guard:
                for step in self._running.values():
                    self._draw(step)


def _columns_of(stream: TextIO) -> int:
    """As wide as the terminal is; a stream that is none was asked to look like one."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return columns or _UNKNOWN_COLUMNS
