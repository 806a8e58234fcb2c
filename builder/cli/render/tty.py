"""Progress on a terminal: finished steps scroll by, a line for each running one stays below.

A running step's line shows its name, the last line it wrote and for how long it runs.
"""

from __future__ import annotations

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
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticker.start()

    def __call__(self, event: Event) -> None:
        with self._guard:
            self._show(event)

    def close(self) -> None:
        """Take the running steps' lines away. Idempotent."""
        self._closed.set()
        self._ticker.join()
        with self._guard:
            for step in self._running.values():
                if step.bar is not None:
                    step.bar.close()
            self._running.clear()

    def _show(self, event: Event) -> None:
        match event:
            case StepStarted(vertex=vertex, name=name):
                self._running[vertex] = _Running(name, time.monotonic(), self._line())
                self._draw(self._running[vertex])
            case StepCached(name=name):
                self._write(f" => CACHED {name}")
            case StepOutput(vertex=vertex, output=output):
                self._note(vertex, output.decode(errors="replace"))
            case StepProgress(vertex=vertex, what=what, done_bytes=done, total_bytes=total):
                of_total = f" / {total / 1e6:.1f}MB" if total else ""
                self._note(vertex, f"{what} {done / 1e6:.1f}MB{of_total}")
            case StepFinished(vertex=vertex, seconds=seconds):
                self._end(vertex, f"{seconds:6.1f}s")
            case StepFailed(vertex=vertex, message=message):
                self._end(vertex, f"ERROR {message.splitlines()[0] if message else ''}")
            case Warned():
                self._write("\n".join(warning_lines(event)))

    def _line(self) -> tqdm[Never] | None:
        if len(self._running) >= MAX_LINES:
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
        if step is not None:
            if step.bar is not None:
                step.bar.close()
            self._write(f" => {step.name}  {how}")

    def _write(self, text: str) -> None:
        tqdm.write(text, file=self._stream)

    def _tick(self) -> None:
        while not self._closed.wait(REFRESH_S):
            with self._guard:
                for step in self._running.values():
                    self._draw(step)
