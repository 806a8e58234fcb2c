"""The socket by which other commands ask the pybuild that runs a container.

That process alone is sure to have power over the container's processes: without root, each pybuild
is in a user namespace of its own. A request is a line, the answer "ok" or "error: " and why:

    pause     hold all processes still until the connection is closed, however it is closed
    kill      end all processes
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from builder.runtime.errors import ContainerRunningError
from cache.errors import PybuildError

if TYPE_CHECKING:
    from builder.runtime.freezing import Freezer
    from builder.runtime.paths import ContainerPaths

_LINE_LIMIT_BYTES = 64
_ANSWER_WAIT_S = 10.0


class Poller(Protocol):
    """What `select.poll` gives."""

    def register(self, fd: int, eventmask: int = ..., /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...


class ControlServer:
    """Answers requests, from within the loop of the process that runs the container."""

    def __init__(
        self,
        listener: _socket.socket,
        poller: Poller,
        *,
        freezer: Freezer,
        kill: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._poller = poller
        self._freezer = freezer
        self._kill = kill
        self._clients: dict[int, _socket.socket] = {}
        self._pausing: set[int] = set()
        poller.register(listener.fileno())

    def handle(self, fd: int) -> None:
        """Do what can be done now with the descriptor that the poller named."""
        if fd == self._listener.fileno():
            self._accept()
        elif fd in self._clients:
            self._serve(self._clients[fd])

    def close(self) -> None:
        """Hang up on everybody; nothing stays paused."""
        for client in tuple(self._clients.values()):
            self._drop(client)
        self._poller.unregister(self._listener.fileno())

    def _accept(self) -> None:
        from socket import socket  # noqa: PLC0415 - see `listening`

        with socket(fileno=os.dup(self._listener.fileno())) as listener:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
        client.settimeout(0)
        self._clients[client.fileno()] = client
        self._poller.register(client.fileno())

    def _serve(self, client: _socket.socket) -> None:
        try:
            line = client.recv(_LINE_LIMIT_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            line = b""
        if not line:
            self._drop(client)
            return
        try:
            self._do(line.strip(), client.fileno())
            answer = b"ok\n"
        except (OSError, PybuildError) as error:
            answer = f"error: {error}\n".encode()
        try:
            client.send(answer)
        except OSError:
            self._drop(client)

    def _do(self, request: bytes, fd: int) -> None:
        if request == b"pause":
            self._pausing.add(fd)
            self._freezer.freeze()
        elif request == b"kill":
            self._kill()
            self._freezer.thaw()  # what is frozen cannot die under cgroup v1
        else:
            raise OSError(f"no such request: {request!r}")

    def _drop(self, client: _socket.socket) -> None:
        fd = client.fileno()
        self._poller.unregister(fd)
        del self._clients[fd]
        client.close()
        if fd in self._pausing:
            self._pausing.discard(fd)
            if not self._pausing:
                self._freezer.thaw()


@contextmanager
def listening(paths: ContainerPaths) -> Generator[_socket.socket, None, None]:
    """The socket of the container, for the length of the block.

    Of `_socket`: each `run` makes one, few are ever asked, and `socket` takes 4 ms to import.
    """
    with closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)) as listener:
        listener.settimeout(0)
        with _short_path(paths.control) as address:
            if os.path.lexists(paths.control):
                os.unlink(paths.control)  # of a pybuild that was killed: this one has the lock
            listener.bind(address)
        listener.listen(16)
        try:
            yield listener
        finally:
            os.unlink(paths.control)


@contextmanager
def paused(paths: ContainerPaths) -> Generator[bool, None, None]:
    """Hold the container still for the length of the block; False where nobody runs it."""
    with _connected(paths) as connection:
        if connection is None:
            yield False
            return
        if not _asked(connection, b"pause\n"):
            yield False
            return
        yield True


def kill(paths: ContainerPaths) -> bool:
    """End the container's processes; False where nobody runs it."""
    with _connected(paths) as connection:
        return connection is not None and _asked(connection, b"kill\n")


def _asked(connection: _socket.socket, request: bytes) -> bool:
    """Whether it was done; False where the other side went away instead."""
    try:
        connection.sendall(request)
        answer = connection.recv(1024)
    except ConnectionError:
        return False
    except TimeoutError as error:
        raise ContainerRunningError(
            "the pybuild that runs the container does not answer"
        ) from error
    if answer and answer != b"ok\n":
        raise ContainerRunningError(answer.decode().strip().removeprefix("error: "))
    return bool(answer)


@contextmanager
def _connected(paths: ContainerPaths) -> Generator[_socket.socket | None, None, None]:
    with closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)) as connection:
        connection.settimeout(_ANSWER_WAIT_S)
        try:
            with _short_path(paths.control) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            yield None
            return
        yield connection


@contextmanager
def _short_path(path: str) -> Generator[str, None, None]:
    """Another way to write `path`: an address has room for 107 bytes."""
    directory_fd = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory_fd}/{os.path.basename(path)}"
    finally:
        os.close(directory_fd)
