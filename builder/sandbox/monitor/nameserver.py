"""The name server of one container: names on its networks, and what this machine's servers say.

Its sockets were made in the container's network namespace; those that it asks others through are
of this machine's. Whatever a container or a server sends, what is kept for it is bounded.
"""

from __future__ import annotations

import _socket
import os
import struct

from builder.kernel.sockets import accept
from builder.sandbox.monitor import dnsmessage
from builder.sandbox.monitor.dnsmessage import Names, Question
from builder.sandbox.monitor.loop import READABLE, WRITABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.sandbox.monitor.loop import Timer

SETTINGS_FILE = "resolver"  # in the container's directory: "upstream ADDRESS", "names FILE" lines
_PORT = 53
_WAIT_S = 2.0  # for one server, before the next is asked
_STREAM_WAIT_S = 10.0
_MOST_PENDING = 128  # questions that others have been asked
_MOST_STREAMS = 32
_MOST_AT_ONCE = 16  # datagrams before other things get their turn
_MOST_BYTES = 65535
_MOST_FILE_BYTES = 1 << 20


class NameServer:
    """Answers on a UDP and a TCP socket as long as the loop runs."""

    def __init__(
        self, loop: Loop, udp_fd: int, tcp_fd: int, dir_fd: int, *, upstream_port: int = _PORT
    ) -> None:
        """`dir_fd`: the container's directory."""
        self.loop = loop
        self.upstream_port = upstream_port
        self.forwarded: set[_Forwarded] = set()
        self.clients: set[_Client] = set()
        self._udp = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0, udp_fd)
        self._tcp = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, tcp_fd)
        self._dir_fd = dir_fd
        self._files: dict[str, tuple[tuple[int, int, int], bytes]] = {}
        self._names: Names = {}
        self._texts: list[bytes] = []
        for channel in (self._udp, self._tcp):
            channel.settimeout(0)
        loop.watch(udp_fd, READABLE, self._datagrams)
        loop.watch(tcp_fd, READABLE, self._connection)

    def close(self) -> None:
        """Answer nothing more."""
        for question in tuple(self.forwarded):
            question.close()
        for client in tuple(self.clients):
            client.close()
        for channel in (self._udp, self._tcp):
            if channel.fileno() >= 0:
                self.loop.unwatch(channel.fileno())
                channel.close()

    def ask(self, message: bytes, answer: Callable[[bytes], None], *, stream: bool) -> None:
        """Have a message answered, now or later."""
        question = dnsmessage.question_of(message)
        if question is None:
            refusal = dnsmessage.refusal(message)
            if refusal is not None:
                answer(refusal)
            return
        upstreams = self._read_settings()
        local = dnsmessage.local_answer(question, self._names)
        if local is not None:
            answer(local)
        elif len(self.forwarded) >= _MOST_PENDING or not upstreams:
            answer(dnsmessage.failure(question))
        else:
            _Forwarded(self, message, question, upstreams, answer, stream=stream)

    def _datagrams(self, _: int) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                message, sender = self._udp.recvfrom(_MOST_BYTES)
            except OSError:
                return
            self.ask(message, _Reply(self._udp, sender), stream=False)

    def _connection(self, _: int) -> None:
        try:
            channel = accept(self._tcp)
        except OSError:
            return
        if len(self.clients) >= _MOST_STREAMS:
            channel.close()
        else:
            _Client(self, channel)

    def _read_settings(self) -> list[str]:
        """The servers to ask; the names are read again where a file has changed."""
        upstreams: list[str] = []
        texts: list[bytes] = []
        for line in self._read(SETTINGS_FILE).decode("utf-8", "surrogateescape").splitlines():
            word, _, value = line.partition(" ")
            if word == "upstream" and dnsmessage.packed(value) is not None:
                upstreams.append(value)
            elif word == "names":
                texts.append(self._read(value))
        if texts != self._texts:
            self._texts = texts
            self._names = dnsmessage.names_of(b"".join(texts))
        return upstreams

    def _read(self, path: str) -> bytes:
        """A file's content, read again only when it is another file than the last time."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._dir_fd)
        except OSError:
            return b""
        try:
            found = os.fstat(fd)
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            known = self._files.get(path)
            if known is None or known[0] != version:
                known = (version, os.read(fd, _MOST_FILE_BYTES))
                self._files[path] = known
            return known[1]
        finally:
            os.close(fd)


class _Reply:
    """Where the answer to a datagram goes."""

    def __init__(self, channel: _socket.socket, to: tuple[str, int]) -> None:
        self._channel = channel
        self._to = to

    def __call__(self, message: bytes) -> None:
        try:
            self._channel.sendto(message, self._to)
        except OSError:  # the asker is gone, or reads too slowly: it will ask again
            return


class _Forwarded:
    """A question that this machine's servers are asked, one after another."""

    def __init__(
        self,
        server: NameServer,
        message: bytes,
        question: Question,
        upstreams: list[str],
        answer: Callable[[bytes], None],
        *,
        stream: bool,
    ) -> None:
        self._server = server
        self._message = message
        self._question = question
        self._upstreams = upstreams
        self._answer = answer
        self._stream = stream
        self._number = 0
        self._channel: _socket.socket | None = None
        self._timer: Timer | None = None
        self._received = b""
        server.forwarded.add(self)
        self._ask_next()

    def close(self) -> None:
        """Give it up."""
        self._hang_up()
        self._server.forwarded.discard(self)

    def _ask_next(self) -> None:
        self._hang_up()
        while self._upstreams:
            upstream = self._upstreams.pop(0)
            # a number and a port that nobody outside can know: who can't see the question can't
            # answer it
            self._number = int.from_bytes(os.urandom(2), "big")
            try:
                self._channel = _asking(upstream, self._server.upstream_port, stream=self._stream)
            except OSError:
                continue
            wait_s = _STREAM_WAIT_S if self._stream else _WAIT_S
            self._timer = self._server.loop.after(wait_s, self._ask_next)
            self._server.loop.watch(self._channel.fileno(), WRITABLE, self._send)
            return
        self._finish(dnsmessage.failure(self._question))

    def _send(self, _: int) -> None:
        assert self._channel is not None
        message = dnsmessage.with_number(self._message, self._number)
        if self._stream:
            message = struct.pack("!H", len(message)) + message
        try:
            self._channel.send(message)
        except OSError:
            self._ask_next()
            return
        self._server.loop.watch(self._channel.fileno(), READABLE, self._receive)

    def _receive(self, _: int) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self._ask_next()
            return
        if self._stream:
            self._receive_stream(data)
        elif dnsmessage.answers(data, self._question, self._number):
            self._finish(dnsmessage.with_number(data, self._question.number))

    def _receive_stream(self, data: bytes) -> None:
        self._received += data
        message = _whole(self._received)
        if message is None:
            if not data:
                self._ask_next()
        elif dnsmessage.answers(message, self._question, self._number):
            self._finish(dnsmessage.with_number(message, self._question.number))
        else:
            self._ask_next()

    def _finish(self, message: bytes) -> None:
        self.close()
        self._answer(message)

    def _hang_up(self) -> None:
        self._server.loop.cancel(self._timer)
        self._timer = None
        self._received = b""
        if self._channel is not None:
            self._server.loop.unwatch(self._channel.fileno())
            self._channel.close()
            self._channel = None


def _asking(upstream: str, port: int, *, stream: bool) -> _socket.socket:
    """A socket that is, or is being, connected: only what that server sends arrives."""
    family = _socket.AF_INET6 if ":" in upstream else _socket.AF_INET
    kind = _socket.SOCK_STREAM if stream else _socket.SOCK_DGRAM
    channel = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
    channel.settimeout(0)
    try:
        channel.connect((upstream, port))
    except BlockingIOError:
        return channel
    except OSError:
        channel.close()
        raise
    return channel


def _whole(received: bytes) -> bytes | None:
    """The message that a stream began with; None where it has not all come."""
    if len(received) < 2:
        return None
    end = 2 + struct.unpack_from("!H", received)[0]
    return received[2:end] if len(received) >= end else None


class _Client:
    """A connection of the container's: questions one after another, each answered in turn."""

    def __init__(self, server: NameServer, channel: _socket.socket) -> None:
        channel.settimeout(0)
        self._server = server
        self._channel = channel
        self._received = b""
        self._unsent = b""
        self._timer = server.loop.after(_STREAM_WAIT_S, self.close)
        server.clients.add(self)
        server.loop.watch(channel.fileno(), READABLE, self._receive)

    def _receive(self, _: int) -> None:
        try:
            data = self._channel.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        self._next()

    def _next(self) -> None:
        message = _whole(self._received)
        if message is None:
            self._server.loop.watch(self._channel.fileno(), READABLE, self._receive)
            return
        self._received = self._received[2 + len(message) :]
        self._server.loop.unwatch(self._channel.fileno())  # nothing more until this is answered
        self._server.ask(message, self._answer, stream=True)

    def _answer(self, message: bytes) -> None:
        if self._channel.fileno() < 0:  # it has been closed meanwhile
            return
        self._unsent = struct.pack("!H", len(message)) + message
        self._server.loop.watch(self._channel.fileno(), WRITABLE, self._send)

    def _send(self, _: int) -> None:
        try:
            sent = self._channel.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._next()

    def close(self) -> None:
        """Hang up."""
        if self._channel.fileno() >= 0:
            self._server.loop.cancel(self._timer)
            self._server.loop.unwatch(self._channel.fileno())
            self._channel.close()
            self._server.clients.discard(self)
