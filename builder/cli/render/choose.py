"""Which renderer shows the progress of a build."""

from __future__ import annotations

from typing import Protocol, TextIO

from builder.events import Event, Warned


class Renderer(Protocol):
    """Takes events from several threads; `close` before anything else is printed."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class QuietRenderer:
    """Shows nothing but warnings of the program itself, not of the Dockerfile."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned) and not event.rule:
            self._stream.write(f"WARNING: {event.message}\n")

    def close(self) -> None:
        """Nothing is kept back."""


def renderer_for(progress: str, stream: TextIO) -> Renderer:
    """`progress` as `--progress` has it; auto is tty where `stream` is a terminal."""
    if progress == "quiet":
        return QuietRenderer(stream)
    if progress == "rawjson":
        from builder.cli.render.jsonl import JsonLinesRenderer

        return JsonLinesRenderer(stream)
    if progress == "tty" or (progress == "auto" and stream.isatty()):
        from builder.cli.render.tty import TtyRenderer

        return TtyRenderer(stream)
    from builder.cli.render.plain import PlainRenderer

    return PlainRenderer(stream)
