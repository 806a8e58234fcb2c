"""Messages with descriptors on a sequenced-packet socket, between this command's own processes.

A message is a tuple of numbers and strings in `marshal`'s form: both ends are one interpreter, and
it needs no import.
"""

from __future__ import annotations

import _socket
import marshal
import os
import struct

EXIT_NOT_STARTED = 127  # read by nobody: the report says what happened
CONTROL_FD = 3  # where the server finds its socket
MAX_FDS = 253  # the kernel's limit for one message
_MAX_BYTES = 1 << 16
_MAX_TEXT = 4000

Message = tuple[str | int, ...]

# from a child while it sets up, on its setup socket
FAILED = "failed"  # operation, errno, path
CRASHED = "crashed"  # what our own code did wrong
WARNING = "warning"  # text
TERMINAL = "terminal"  # the pty's master goes with it
GO = "go"  # to a child that waits: what its caller had to do for it is done
EXECUTING = "executing"  # the next thing is execve; the socket's end says that it worked
# from the server, on the status socket of a process
STARTED = "started"  # pid; a pidfd goes with it
ENDED = "ended"  # wait status


def send(channel: _socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Send; a peer that is gone is no error, since it has nothing to know any more."""
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))]
    try:
        channel.sendmsg([marshal.dumps(message)], ancillary if fds else [], _socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        return


def receive(channel: _socket.socket, flags: int = 0) -> tuple[Message, tuple[int, ...]]:
    """The next message and its descriptors (close-on-exec); an empty one at the end."""
    data, ancillary, _, _ = channel.recvmsg(
        _MAX_BYTES, _socket.CMSG_SPACE(4 * MAX_FDS), flags | _socket.MSG_CMSG_CLOEXEC
    )
    fds: tuple[int, ...] = ()
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += struct.unpack(f"={len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    message: Message = marshal.loads(data) if data else ()  # noqa: S302 - from our own process
    return message, fds


class Report:
    """What a child says while it sets up, and which step it is at."""

    def __init__(self, channel: _socket.socket) -> None:
        self._channel = channel
        self._operation = "start"
        self._path = ""

    def doing(self, operation: str, path: str = "") -> None:
        """From here on a failure is this operation's."""
        self._operation = operation
        self._path = path

    def failed(self, error: OSError) -> None:
        path = self._path or (os.fsdecode(error.filename) if error.filename else "")
        send(self._channel, (FAILED, self._operation, error.errno or 0, path[:_MAX_TEXT]))

    def crashed(self, error: BaseException) -> None:
        text = f"{self._operation} {self._path}: {error!r}"
        send(self._channel, (CRASHED, text[:_MAX_TEXT]))

    def warn(self, text: str) -> None:
        send(self._channel, (WARNING, text))

    def hand_over_terminal(self, master_fd: int) -> None:
        send(self._channel, (TERMINAL,), (master_fd,))

    def wait_for_go(self) -> None:
        """Until the caller has done its part; ends the process where the caller is gone."""
        message, _ = receive(self._channel)
        if message != (GO,):
            os._exit(EXIT_NOT_STARTED)

    def executing(self) -> None:
        send(self._channel, (EXECUTING,))
