"""The container's stdin, stdout and stderr: to the log, and to and from whoever is attached."""

from __future__ import annotations

import fcntl
import os
import struct

from builder.sandbox.monitor.log import JsonFileLog, NoLog
from builder.sandbox.monitor.loop import Loop
from builder.sandbox.monitor.pump import Sink, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.sandbox.monitor.charge import Charge

NAMES = ("stdout", "stderr")
_TIOCSWINSZ = 0x5414


class Attached:
    """What one client gets of the container's streams, and gives."""

    __slots__ = ("sinks", "source")

    def __init__(self) -> None:
        self.sinks: dict[str, Sink] = {}
        self.source: Source | None = None

    @property
    def has_all(self) -> bool:
        """Whether all output has been taken, or cannot be any more."""
        return not any(sink.is_open for sink in self.sinks.values())

    def end_output(self) -> None:
        """There is no more: close when what is left has been taken."""
        for sink in self.sinks.values():
            sink.close()

    def drop(self) -> None:
        """Close all at once; the client is gone, or wants nothing more."""
        if self.source is not None:
            self.source.close()
        for sink in self.sinks.values():
            sink.drop()


class Streams:
    """Copies from the container's start to its end."""

    def __init__(self, loop: Loop, charge: Charge) -> None:
        self._loop = loop
        self._stdin_once = charge.stdin_once
        self._is_terminal = charge.is_terminal
        self._log = _log_of(charge)
        self._sources: dict[str, Source] = {}
        for name, fd in zip(NAMES, charge.stdout_fds, strict=True):
            if fd >= 0:
                self._sources[name] = Source(loop, fd, taken=self._logger(name))
        self._master_fd = charge.stdout_fds[0] if charge.is_terminal else -1
        self._stdin: Sink | None = None
        if charge.stdin_fd >= 0:
            self._stdin = Sink(loop, charge.stdin_fd)

    def attach(self, stdin_fd: int, stdout_fd: int, stderr_fd: int) -> Attached:
        """Tie a client's descriptors, which are taken over, to the container's; -1 for none."""
        attached = Attached()
        for name, fd in zip(NAMES, (stdout_fd, stderr_fd), strict=True):
            if fd < 0:
                continue
            sink = Sink(self._loop, fd)
            attached.sinks[name] = sink
            source = self._sources.get(name)
            if source is None or not source.is_open:
                sink.close()
            else:
                source.add(sink)
        if stdin_fd >= 0:
            self._attach_stdin(attached, stdin_fd)
        return attached

    def _attach_stdin(self, attached: Attached, fd: int) -> None:
        if self._stdin is None or not self._stdin.is_open:
            os.close(fd)
            return
        source = Source(self._loop, fd, ended=self._stdin_ended)
        source.add(self._stdin)
        attached.source = source

    def detach(self, attached: Attached) -> None:
        """Give the client nothing more."""
        for name, sink in attached.sinks.items():
            source = self._sources.get(name)
            if source is not None:
                source.remove(sink)
        if attached.source is not None and self._stdin is not None:
            attached.source.remove(self._stdin)
        attached.drop()

    def hang_up(self, name: str) -> None:
        """Tell the container that nobody reads this any more, as a closed pipe does."""
        source = self._sources.get(name)
        if source is not None and not self._is_terminal:
            source.close()

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal how large it is shown."""
        source = self._sources.get("stdout")
        if self._is_terminal and source is not None and source.is_open:
            size = struct.pack("=HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0)
            fcntl.ioctl(self._master_fd, _TIOCSWINSZ, size)

    def finish(self) -> None:
        """The container has ended: take all that it wrote, and complete the log."""
        for source in self._sources.values():
            source.drain()
        if self._stdin is not None:
            self._stdin.drop()
        self._log.close()

    def _stdin_ended(self) -> None:
        if self._stdin_once and self._stdin is not None and not self._is_terminal:
            self._stdin.close()

    def _logger(self, name: str) -> Callable[[bytes], None]:
        def taken(chunk: bytes) -> None:
            self._log.write(name, chunk)

        return taken


def _log_of(charge: Charge) -> JsonFileLog | NoLog:
    driver, max_size_bytes, max_files, attributes = charge.log
    if driver == "none":
        return NoLog()
    return JsonFileLog(
        charge.dir_fd,
        max_size_bytes=max_size_bytes,
        max_files=max_files,
        attributes=attributes,
    )
