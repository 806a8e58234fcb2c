"""The caller's standard streams, tied to pipes by threads that copy.

Neither a container nor its monitor gets the caller's own descriptors: through them one could type
into the caller's terminal, and open the file that output was redirected to for writing anywhere.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.runtime.detachkeys import DetachScanner
from builder.runtime.terminal import WindowSize, raw_mode, window_size
from cache.record import record

if TYPE_CHECKING:
    from builder.sandbox.api import Credentials

_CHUNK_BYTES = 1 << 16
_GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET}
"""The other side of a pipe, pty or socket went away: the end of the copying, not a failure."""

_DRAIN_STEP_S = 0.1

DETACHED = b"d"
STDOUT_CLOSED = b"1"
STDERR_CLOSED = b"2"


@record
class CallerStreams:
    """The caller's descriptors."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


@record
class StreamChoice:
    """Which of the caller's streams are tied."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True  # nothing where the other side is a terminal: that has one output
    terminal: bool = False
    detach_keys: bytes = b""


@contextmanager
def attached(
    caller: CallerStreams, choice: StreamChoice, *, raw: bool = True
) -> Generator[Attachment, None, None]:
    """The caller's streams for one container; a terminal is raw for the length of the block."""
    with ExitStack() as stack:
        if raw and choice.terminal and choice.stdin:
            stack.enter_context(raw_mode(caller.stdin))
        attachment = Attachment(caller, choice)
        stack.callback(attachment.close)
        yield attachment


class Attachment:
    """Ties pipes to the caller's streams, from before the other side has its ends.

    `ends` are for the other side, `begin` comes when it has them, `drain` when it has ended, and
    `close` in any case. `events` gives one of DETACHED, STDOUT_CLOSED, STDERR_CLOSED now and then.
    """

    def __init__(self, caller: CallerStreams, choice: StreamChoice) -> None:
        self._caller = caller
        self._choice = choice
        self._outputs: list[threading.Thread] = []
        self._input: threading.Thread | None = None
        self._reading: set[int | None] = set()  # threads that wait for something to copy
        self._waiting: set[int | None] = set()  # that were seen to
        self._ours: list[int] = []  # ends of pipes that are closed here
        self._theirs: list[int] = []  # the other side's ends, until it has them
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._event_read, self._event_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._input_pipe = self._pipe_in() if choice.stdin else None
        self._pipes = tuple(
            (*self._pipe_out(), target, event)
            for wanted, target, event in (
                (choice.stdout, caller.stdout, STDOUT_CLOSED),
                (choice.stderr and not choice.terminal, caller.stderr, STDERR_CLOSED),
            )
            if wanted
        )

    @property
    def ends(self) -> tuple[int, int, int]:
        """What the other side reads as stdin, writes as stdout and stderr; -1 for none."""
        stdin = self._input_pipe[0] if self._input_pipe else -1
        outputs = {event: write_fd for _, write_fd, _, event in self._pipes}
        return stdin, outputs.get(STDOUT_CLOSED, -1), outputs.get(STDERR_CLOSED, -1)

    def begin(self, terminal_fd: int | None = None) -> None:
        """Copy; the other side has its ends now. A pty's master is taken over in place of pipes."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs.clear()
        for read_fd, _, target, event in self._pipes:
            self._ours.remove(read_fd)
            if terminal_fd is not None:
                os.close(read_fd)
                read_fd = terminal_fd  # noqa: PLW2901 - there is one only
            self._outputs.append(_started(self._copy_out, read_fd, target, event))
        if self._input_pipe is not None:
            target = self._input_pipe[1]
            self._ours.remove(target)
            if terminal_fd is not None:
                os.close(target)
                target = os.dup(terminal_fd)
            self._input = _started(self._copy_in, self._caller.stdin, target)

    @property
    def has_terminal(self) -> bool:
        """Whether the other side is a terminal."""
        return self._choice.terminal

    @property
    def window_size(self) -> WindowSize | None:
        """The size of the caller's terminal; None where there is none."""
        return window_size(self._caller.stdout) or window_size(self._caller.stdin)

    def fileno(self) -> int:
        """Readable when `events` has some."""
        return self._event_read

    def events(self) -> tuple[bytes, ...]:
        """What has happened since."""
        try:
            return tuple(bytes((byte,)) for byte in os.read(self._event_read, 64))
        except BlockingIOError:
            return ()

    def drain(self, given_up: Callable[[], bool]) -> None:
        """Wait until all that comes has gone out, or the caller has `given_up`."""
        for thread in self._outputs:
            while thread.is_alive():
                thread.join(_DRAIN_STEP_S)
                if thread.is_alive() and given_up():
                    return

    def drain_what_is_there(self) -> None:
        """As `drain`, where others keep the other side open: until nothing comes for a while."""
        self._waiting.clear()
        self.drain(self._idle)

    def _idle(self) -> bool:
        """Whether all that still copy have waited for more since the last call."""
        living = {thread.ident for thread in self._outputs if thread.is_alive()}
        idle = living <= self._waiting
        self._waiting |= living & self._reading
        return idle

    def close(self) -> None:
        """End the copying. Idempotent."""
        if self._stop_write >= 0:
            os.close(self._stop_write)
            self._stop_write = -1
            if self._input is not None:
                self._input.join(_DRAIN_STEP_S)
            threads = (*self._outputs, *filter(None, (self._input,)))
            if not any(map(threading.Thread.is_alive, threads)):
                for fd in (self._stop_read, self._event_read, self._event_write):
                    os.close(fd)
        for fd in (*self._ours, *self._theirs):
            os.close(fd)
        self._ours.clear()
        self._theirs.clear()

    def _pipe_in(self) -> tuple[int, int]:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(read_fd)
        self._ours.append(write_fd)
        return read_fd, write_fd

    def _pipe_out(self) -> tuple[int, int]:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(write_fd)
        self._ours.append(read_fd)
        return read_fd, write_fd

    def _copy_out(self, source_fd: int, target_fd: int, event: bytes) -> None:
        own = threading.get_ident()
        try:
            while True:
                self._reading.add(own)
                chunk = _read(source_fd)
                self._reading.discard(own)
                self._waiting.discard(own)
                if not chunk:
                    break
                try:
                    write_all(target_fd, chunk)
                except OSError as error:
                    if error.errno not in _GONE:
                        raise
                    os.write(self._event_write, event)
                    break
        finally:
            os.close(source_fd)

    def _copy_in(self, source_fd: int, target_fd: int) -> None:
        """Copy until the input ends, the other side goes away, or the stop pipe is hung up."""
        poller = select.poll()
        poller.register(source_fd, select.POLLIN)
        poller.register(self._stop_read, select.POLLIN)
        keys = self._choice.detach_keys if self._choice.terminal else b""
        scanner = DetachScanner(keys)
        try:
            while self._stop_read not in {fd for fd, _ in poller.poll()}:
                chunk = _read(source_fd)
                if not chunk:
                    break
                passed, detached_now = scanner.feed(chunk)
                write_all(target_fd, passed)
                if detached_now:
                    os.write(self._event_write, DETACHED)
                    break
        except OSError as error:
            if error.errno not in _GONE:
                raise
        finally:
            os.close(target_fd)


def give(fds: list[int], credentials: Credentials) -> None:
    """Make a container's user the owner of its ends of pipes."""
    for fd in fds:
        try:
            os.fchown(fd, credentials.uid, credentials.gid)
        except OSError:
            return  # an id that isn't mapped: then it cannot


def _started(work: Callable[..., None], *arguments: int | bytes) -> threading.Thread:
    # daemon: one that waits for a caller that never reads must not keep this process alive
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _read(fd: int) -> bytes:
    """b"" at the end, also of a terminal that nobody has open any more."""
    try:
        return os.read(fd, _CHUNK_BYTES)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return b""


def write_all(fd: int, chunk: bytes) -> None:
    """Write, however long it takes."""
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # the caller's descriptor may be shared with one who set this
            select.select((), (fd,), ())
