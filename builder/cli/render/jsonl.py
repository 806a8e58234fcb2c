"""Progress as JSON lines (`--progress=rawjson`): one object an event, for other programs."""

from __future__ import annotations

import json
import threading
from typing import TextIO

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


class JsonLinesRenderer:
    """Writes each event as an object with `event` and the event's own fields; thread-safe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        line = json.dumps({"event": type(event).__name__, **_fields(event)}, sort_keys=True)
        with self._guard:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is kept back."""


def _fields(event: Event) -> dict[str, object]:
    match event:
        case StepStarted(vertex, name) | StepCached(vertex, name):
            return {"vertex": vertex, "name": name}
        case StepOutput(vertex, output):
            return {"vertex": vertex, "output": output.decode(errors="replace")}
        case StepProgress(vertex, what, done_bytes, total_bytes):
            return {
                "vertex": vertex,
                "what": what,
                "done_bytes": done_bytes,
                "total_bytes": total_bytes,
            }
        case StepFinished(vertex, seconds):
            return {"vertex": vertex, "seconds": seconds}
        case StepFailed(vertex, seconds, message):
            return {"vertex": vertex, "seconds": seconds, "message": message}
        case Warned(message, rule, url, span):
            line = span.first_line if span else None
            return {"message": message, "rule": rule, "url": url, "line": line}
