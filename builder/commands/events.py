"""What has happened in the store, and what happens."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from builder.engine import Engine
from builder.kernel.inotify import DirectoryWatch
from builder.runtime.journal import Event, EventFilter, event_of
from builder.runtime.loglines import RotatedLines
from cache.record import record


@record
class EventsRequest:
    """Which events; moments in nanoseconds since the epoch."""

    wanted: EventFilter
    since_ns: int | None = None  # None: only those that come
    until_ns: int | None = None  # None: for ever


def events(engine: Engine, request: EventsRequest) -> Iterator[Event]:
    """The events, the earliest first."""
    os.makedirs(engine.state.journal_dir, mode=0o700, exist_ok=True)
    watch = DirectoryWatch(engine.state.journal_dir)
    last = 0 if request.since_ns is None else None
    try:
        with RotatedLines(engine.state.journal, last=last) as lines:
            while True:
                for event in map(event_of, lines.more()):
                    if event is not None and _is_meant(event, request):
                        yield event
                if not _waited(watch, request.until_ns):
                    return
    finally:
        watch.close()


def _is_meant(event: Event, request: EventsRequest) -> bool:
    since_ns, until_ns = request.since_ns or 0, request.until_ns
    is_in_time = event.time_ns >= since_ns and (until_ns is None or event.time_ns <= until_ns)
    return is_in_time and request.wanted.allows(event)


def _waited(watch: DirectoryWatch, until_ns: int | None) -> bool:
    """Wait for the next event; False once the time is over."""
    left_s = None if until_ns is None else (until_ns - time.time_ns()) / 1e9
    if left_s is not None and left_s <= 0:
        return False
    select.select([watch.fileno()], [], [], left_s)
    watch.forget()
    return True
