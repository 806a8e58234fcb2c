"""Progress as JSON lines (`--progress=rawjson`): one object an event, for other programs."""

from __future__ import annotations

import codecs
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
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def __call__(self, event: Event) -> None:
        with self._guard:
            fields = {"event": type(event).__name__, **self._fields(event)}
            line = json.dumps(fields, sort_keys=True)
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is kept back."""

    def _fields(self, event: Event) -> dict[str, object]:
        match event:
            case StepStarted(vertex, name) | StepCached(vertex, name):
                return {"vertex": vertex, "name": name}
            case StepOutput(vertex, output):
                return {"vertex": vertex, "output": self._text(vertex, output)}
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

    def _text(self, vertex: str, output: bytes) -> str:
        """A piece may end in the middle of a character: the next one has the rest."""
        decoder = self._decoders.get(vertex)
        if decoder is None:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._decoders[vertex] = decoder
        return decoder.decode(output)
