"""The socket by which commands ask the monitor of a container: builder.sandbox.monitor.requests.

The monitor alone is sure to have power over the container's processes: without root, each command
is in a user namespace of its own, or in none. Each function here says by None or False that nobody
runs the container.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from builder.runtime.errors import ContainerRunningError
from builder.sandbox.child import wire

if TYPE_CHECKING:
    from builder.runtime.paths import ContainerPaths
    from builder.sandbox.child.wire import Message

ANSWER_WAIT_S = 15.0
ENDED = "ended"
_OK = "ok"
_ERROR = "error"


class Connection:
    """One client's side; `ask` is for requests with one answer, `send` and `receive` for others."""

    def __init__(self, channel: _socket.socket) -> None:
        self._channel = channel

    def fileno(self) -> int:
        return self._channel.fileno()

    def send(self, *message: str | int, fds: tuple[int, ...] = ()) -> None:
        """Send; that the other side has gone is seen by `receive`."""
        wire.send(self._channel, message, fds)

    def receive(self, timeout_s: float | None = ANSWER_WAIT_S) -> tuple[Message, tuple[int, ...]]:
        """The next message with its descriptors; an empty one where the other side has gone."""
        self._channel.settimeout(timeout_s)
        try:
            return wire.receive(self._channel)
        except ConnectionError:
            return (), ()
        except TimeoutError as error:
            raise ContainerRunningError("the container's monitor does not answer") from error

    def ask(self, *message: str | int, fds: tuple[int, ...] = ()) -> Answer | None:
        """The answer; None where the other side went away instead. ContainerRunningError else."""
        self.send(*message, fds=fds)
        answer, answer_fds = self.receive()
        match answer:
            case (str() as kind, *values) if kind == _OK:
                return Answer(tuple(values), answer_fds)
            case (str() as kind, str(why)) if kind == _ERROR:
                raise ContainerRunningError(why)
            case _:
                return None

    def wait_for_end(self, timeout_s: float | None = None) -> int | None:
        """The exit code, once the monitor tells it; None where it went away instead."""
        message, _ = self.receive(timeout_s)
        match message:
            case (str() as kind, int(exit_code)) if kind == ENDED:
                return exit_code
            case _:
                return None

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


class Answer:
    """What came with an ok."""

    def __init__(self, values: Message, fds: tuple[int, ...]) -> None:
        self.values = values
        self.fds = fds


def listen(paths: ContainerPaths) -> _socket.socket:
    """The socket of a container, in the place of one that an earlier monitor left.

    Of `_socket`: each start makes one, and `socket` takes 4 ms to import.
    """
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        with suppress(FileNotFoundError):
            os.unlink(paths.control)
        with _short_path(paths.control) as address:
            listener.bind(address)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def connected(paths: ContainerPaths) -> Generator[Connection | None, None, None]:
    """A connection for the length of the block; None where nobody runs the container."""
    with closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)) as channel:
        channel.settimeout(ANSWER_WAIT_S)
        try:
            with _short_path(paths.control) as address:
                channel.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            yield None
            return
        yield Connection(channel)


def _asked(paths: ContainerPaths, *message: str | int) -> Answer | None:
    with connected(paths) as connection:
        return connection.ask(*message) if connection is not None else None


@contextmanager
def paused(paths: ContainerPaths) -> Generator[bool, None, None]:
    """Hold the container still for the length of the block; False where nobody runs it."""
    with connected(paths) as connection:
        yield connection is not None and connection.ask("hold") is not None


def pause(paths: ContainerPaths) -> bool:
    """Hold the container still until `unpause`."""
    return _asked(paths, "pause") is not None


def unpause(paths: ContainerPaths) -> bool:
    """Let it go on. ContainerRunningError for one that isn't paused."""
    return _asked(paths, "unpause") is not None


def signal(paths: ContainerPaths, number: int) -> bool:
    """Send the container's first process a signal."""
    return _asked(paths, "signal", number) is not None


def kill(paths: ContainerPaths) -> bool:
    """End the container's processes; no restart policy starts it again."""
    return signal(paths, 9)


def stop(paths: ContainerPaths, number: int, *, timeout_s: float | None) -> int | None:
    """Send it the signal, SIGKILL after the timeout (None: never), and wait: the exit code.

    No restart policy starts it again.
    """
    timeout_ms = -1 if timeout_s is None else int(timeout_s * 1000)
    with connected(paths) as connection:
        if connection is None:
            return None
        connection.send("stop", number, timeout_ms)
        return connection.wait_for_end()


def wait(paths: ContainerPaths) -> int | None:
    """Wait for the end: the exit code."""
    with connected(paths) as connection:
        if connection is None:
            return None
        connection.send("wait")
        return connection.wait_for_end()


def processes(paths: ContainerPaths) -> tuple[int, ...] | None:
    """The pids of its processes, as the machine counts."""
    answer = _asked(paths, "processes")
    return None if answer is None else tuple(map(int, answer.values))


def open_root(paths: ContainerPaths) -> int | None:
    """An O_PATH descriptor of its root directory as its own processes see it, with all mounts."""
    answer = _asked(paths, "root")
    return answer.fds[0] if answer is not None and answer.fds else None


def update_restart_policy(paths: ContainerPaths, name: str, max_retries: int) -> bool:
    """Give the container that runs another restart policy."""
    return _asked(paths, "update", name, max_retries) is not None


@contextmanager
def _short_path(path: str) -> Generator[str, None, None]:
    """Another way to write `path`: an address has room for 107 bytes."""
    directory_fd = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory_fd}/{os.path.basename(path)}"
    finally:
        os.close(directory_fd)
