"""The caller's standard streams, tied to a container's by threads that copy.

A container never gets the caller's own descriptors: through them it could type into the caller's
terminal, and open the file that output was redirected to for writing anywhere in it.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from builder.runtime.container import HostConfig
from builder.runtime.terminal import WindowSize, raw_mode, set_window_size, window_size
from builder.sandbox.api import Credentials, Stdio
from cache.record import record

_CHUNK_BYTES = 1 << 16
_GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET}
"""The other side of a pipe, pty or socket went away: the end of the copying, not a failure."""

_DRAIN_STEP_S = 0.1


@record
class CallerStreams:
    """The caller's descriptors."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


@contextmanager
def attached(caller: CallerStreams, host: HostConfig) -> Generator[Attachment, None, None]:
    """The caller's streams for one container; a terminal is raw for the length of the block."""
    with ExitStack() as stack:
        if host.terminal and host.stdin_open:
            stack.enter_context(raw_mode(caller.stdin))
        attachment = Attachment(caller, terminal=host.terminal, stdin_open=host.stdin_open)
        stack.callback(attachment.close)
        yield attachment


class Attachment:
    """Ties a container's streams to the caller's, from before it starts until after its end.

    `stdio` is for the start, `attach` comes after it, `drain` when the container has ended, and
    `close` in any case.
    """

    def __init__(self, caller: CallerStreams, *, terminal: bool, stdin_open: bool) -> None:
        self._caller = caller
        self._stdin_open = stdin_open
        self._terminal_fd: int | None = None
        self._outputs: list[threading.Thread] = []
        self._input: threading.Thread | None = None
        self._ours: list[int] = []  # ends of pipes that are closed here
        self._theirs: list[int] = []  # the container's ends, until it has them
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._stdin_write = self._pipe_in() if stdin_open and not terminal else None
        self._pipes: tuple[tuple[int, int], ...] = ()
        if not terminal:
            self._pipes = (
                (self._pipe_out(), caller.stdout),
                (self._pipe_out(), caller.stderr),
            )

    def stdio(self, credentials: Credentials) -> Stdio:
        """The container's ends. They belong to its user, who may open /dev/stdout again."""
        for fd in self._theirs:
            try:
                os.fchown(fd, credentials.uid, credentials.gid)
            except OSError:
                break  # an id that isn't mapped: then it cannot
        if not self._theirs:
            return Stdio()
        stdin = self._theirs[0] if self._stdin_write is not None else None
        return Stdio(stdin, self._theirs[-2], self._theirs[-1])

    def attach(self, terminal_fd: int | None) -> None:
        """Begin to copy; the container has its ends now. Takes `terminal_fd` over."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs.clear()
        self._terminal_fd = terminal_fd
        input_fd = self._stdin_write
        if terminal_fd is not None:
            self.resize()  # it may have changed since
            self._outputs.append(_started(_copy, terminal_fd, self._caller.stdout))
            input_fd = os.dup(terminal_fd)
        for source, target in self._pipes:
            self._ours.remove(source)
            self._outputs.append(_started(_copy_and_close, source, target))
        if self._stdin_open and input_fd is not None:
            if input_fd in self._ours:
                self._ours.remove(input_fd)
            self._input = _started(_copy_input, self._caller.stdin, input_fd, self._stop_read)
        elif input_fd is not None:
            os.close(input_fd)

    @property
    def has_terminal(self) -> bool:
        """Whether the container has a pty, whose master is here."""
        return self._terminal_fd is not None

    @property
    def window_size(self) -> WindowSize | None:
        """The size of the caller's terminal; None where there is none."""
        return window_size(self._caller.stdout) or window_size(self._caller.stdin)

    def resize(self) -> None:
        """Give the container's terminal the size of the caller's."""
        size = self.window_size
        if self._terminal_fd is not None and size is not None:
            set_window_size(self._terminal_fd, size)

    def drain(self, given_up: Callable[[], bool]) -> None:
        """Wait until all that the container wrote has gone out, or the caller has `given_up`."""
        for thread in self._outputs:
            while thread.is_alive():
                thread.join(_DRAIN_STEP_S)
                if thread.is_alive() and given_up():
                    return

    def close(self) -> None:
        """End the copying. Idempotent."""
        if self._stop_write >= 0:
            os.close(self._stop_write)
            self._stop_write = -1
            if self._input is not None:
                self._input.join(_DRAIN_STEP_S)
            if self._input is None or not self._input.is_alive():
                os.close(self._stop_read)
        for fd in (*self._ours, *self._theirs):
            os.close(fd)
        self._ours.clear()
        self._theirs.clear()
        if self._terminal_fd is not None and not any(map(threading.Thread.is_alive, self._outputs)):
            os.close(self._terminal_fd)
            self._terminal_fd = None

    def _pipe_in(self) -> int:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(read_fd)
        self._ours.append(write_fd)
        return write_fd

    def _pipe_out(self) -> int:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(write_fd)
        self._ours.append(read_fd)
        return read_fd


def _started(work: Callable[..., None], *arguments: int) -> threading.Thread:
    # daemon: one that waits for a caller that never reads must not keep this process alive
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _copy_and_close(source_fd: int, target_fd: int) -> None:
    """Closing tells the container, by SIGPIPE, that nobody reads any more."""
    try:
        _copy(source_fd, target_fd)
    finally:
        os.close(source_fd)


def _copy(source_fd: int, target_fd: int) -> None:
    try:
        while chunk := os.read(source_fd, _CHUNK_BYTES):
            _write_all(target_fd, chunk)
    except OSError as error:
        if error.errno not in _GONE:
            raise


def _copy_input(source_fd: int, target_fd: int, stop_fd: int) -> None:
    """Copy until the input ends, the container's side goes away, or `stop_fd` is hung up."""
    poller = select.poll()
    poller.register(source_fd, select.POLLIN)
    poller.register(stop_fd, select.POLLIN)
    try:
        while stop_fd not in {fd for fd, _ in poller.poll()}:
            chunk = os.read(source_fd, _CHUNK_BYTES)
            if not chunk:
                break
            _write_all(target_fd, chunk)
    except OSError as error:
        if error.errno not in _GONE:
            raise
    finally:
        os.close(target_fd)


def _write_all(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # the caller's descriptor may be shared with one who set this
            select.select((), (fd,), ())
