"""A container's output read back, and followed while it is written."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.kernel.inotify import DirectoryWatch
from builder.runtime.control import connected
from builder.runtime.logentries import LogEntry, entry_of
from builder.runtime.loglines import RotatedLines
from cache.record import record

if TYPE_CHECKING:
    from builder.runtime.paths import ContainerPaths

_RESTART_LOOK_S = 0.05


@record
class LogQuery:
    """Which entries; moments in nanoseconds since the epoch."""

    since_ns: int = 0
    until_ns: int | None = None
    tail: int | None = None  # so many at the end; of those, what the moments leave
    follow: bool = False  # go on with what comes, until the container ends


@record
class LogSource:
    """Whose log is read."""

    paths: ContainerPaths
    may_restart: Callable[[], bool]  # whether an end is not the last one
    now_ns: Callable[[], int]


def read_log(source: LogSource, query: LogQuery) -> Iterator[LogEntry]:
    """The entries, the earliest first."""
    with ExitStack() as stack:
        watch: DirectoryWatch | None = None
        if query.follow:
            watch = DirectoryWatch(source.paths.container_dir)  # before the first look
            stack.callback(watch.close)
        lines = stack.enter_context(RotatedLines(source.paths.log, last=query.tail))
        for line in _lines(lines, source, watch, query.until_ns):
            entry = entry_of(line)
            if entry is None or entry.time_ns < query.since_ns:
                continue
            if query.until_ns is not None and entry.time_ns > query.until_ns:
                return
            yield entry


def _lines(
    lines: RotatedLines, source: LogSource, watch: DirectoryWatch | None, until_ns: int | None
) -> Iterator[bytes]:
    """What is there; with `watch` what comes, too, until the end."""
    yield from lines.more()
    while watch is not None:
        with connected(source.paths) as connection:
            if connection is not None:
                connection.send("wait")
                while not _has_ended(connection.fileno(), source, watch, until_ns):
                    yield from lines.more()
        yield from lines.more()
        is_over = until_ns is not None and source.now_ns() >= until_ns
        if is_over or not source.may_restart():
            return
        select.select([watch.fileno()], [], [], _RESTART_LOOK_S)


def _has_ended(
    connection_fd: int, source: LogSource, watch: DirectoryWatch, until_ns: int | None
) -> bool:
    """Wait for something to happen; whether it was the end of the container, or of the time."""
    poller = select.poll()
    poller.register(connection_fd, select.POLLIN)
    poller.register(watch.fileno(), select.POLLIN)
    timeout_ms = None if until_ns is None else max(0.0, (until_ns - source.now_ns()) / 1e6)
    ready = [fd for fd, _ in poller.poll(timeout_ms)]
    watch.forget()
    return not ready or connection_fd in ready
