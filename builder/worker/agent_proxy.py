"""RUN --mount=type=ssh: a socket of the step's own, whose connections go on to the user's agent."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

_BACKLOG = 8
_CHUNK_BYTES = 65536


class AgentProxy:
    """Listens at `path` until it is closed. Whatever is connected then is cut off."""

    def __init__(self, path: str, agent_path: str) -> None:
        self._agent_path = agent_path
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind(self._listener, path)
            self._listener.listen(_BACKLOG)
        except BaseException:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._serve, name="ssh agent", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Idempotent."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            for one in (self._listener, *self._open):
                with suppress(OSError):  # closing alone does not wake who waits in another thread
                    one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            try:
                agent.connect(self._agent_path)
            except OSError:
                return
            with self._guard:
                if self._closed:
                    return
                self._open |= {client, agent}
            answers = threading.Thread(target=_pump, args=(agent, client), daemon=True)
            answers.start()
            _pump(client, agent)
            answers.join()
            with self._guard:
                self._open -= {client, agent}


def _bind(listener: socket.socket, path: str) -> None:
    """An address has room for 107 bytes, a path for more: name the directory by a descriptor."""
    directory, name = os.path.split(path)
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory_fd}/{name}")
    finally:
        os.close(directory_fd)


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Until `source` says no more; the other direction goes on, for answers are still to come."""
    with suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
