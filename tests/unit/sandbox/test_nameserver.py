"""The name server of a container, over real sockets of this process."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.sandbox.monitor import dnsmessage
from builder.sandbox.monitor.loop import Loop
from builder.sandbox.monitor.nameserver import NameServer
from support.dnsqueries import query

HERE = "127.0.0.1"


def bound(kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.bind((HERE, 0))
    made.settimeout(5)
    return made


class Served:
    """A server, its loop, a server that it asks, and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = Loop()
        udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
        tcp.listen()
        self.place, self.tcp_place = udp.getsockname(), tcp.getsockname()
        self.upstream = bound(socket.SOCK_DGRAM)
        self.client = bound(socket.SOCK_DGRAM)
        self.dir_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        port = self.upstream.getsockname()[1]
        self.server = NameServer(
            self.loop, udp.detach(), tcp.detach(), self.dir_fd, upstream_port=port
        )

    def ask(self, message: bytes) -> None:
        self.client.sendto(message, self.place)
        self.loop.step()

    def answer(self) -> bytes:
        return self.client.recv(65535)

    def close(self) -> None:
        self.server.close()
        self.upstream.close()
        self.client.close()
        os.close(self.dir_fd)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    names = tmp_path / "names"
    names.write_text("10.0.0.2 web\n")
    (tmp_path / "resolver").write_text(f"upstream {HERE}\nupstream nonsense\nnames {names}\n")
    made = Served(tmp_path)
    yield made
    made.close()


def test_a_container_is_found_by_name(served: Served):
    served.ask(query("web"))
    assert served.answer().endswith(bytes([10, 0, 0, 2]))


def test_a_name_is_found_as_soon_as_its_file_says_so(served: Served):
    (served.folder / "new").write_text("10.0.0.3 later\n")
    os.rename(served.folder / "new", served.folder / "names")
    served.ask(query("later"))
    assert served.answer().endswith(bytes([10, 0, 0, 3]))


def test_other_names_are_asked_of_this_machines_servers(served: Served):
    served.ask(query("example.org", number=42))
    served.loop.step()
    asked, asker = served.upstream.recvfrom(65535)
    question = dnsmessage.question_of(asked)
    assert question is not None
    assert question.name == "example.org"
    served.upstream.sendto(dnsmessage.failure(question), asker)
    served.loop.step()
    assert served.answer()[:2] == struct.pack("!H", 42)
    assert not served.server.forwarded


def test_what_does_not_answer_the_question_is_not_passed_on(served: Served):
    served.ask(query("example.org"))
    served.loop.step()
    asked, asker = served.upstream.recvfrom(65535)
    question = dnsmessage.question_of(asked)
    assert question is not None
    wrong = dnsmessage.with_number(dnsmessage.failure(question), question.number ^ 1)
    for message in (b"", b"\0" * 600, wrong):
        served.upstream.sendto(message, asker)
        served.loop.step()
    stranger = bound(socket.SOCK_DGRAM)
    stranger.sendto(dnsmessage.failure(question), asker)  # from another port: the kernel drops it
    stranger.close()
    assert len(served.server.forwarded) == 1
    served.upstream.sendto(dnsmessage.failure(question), asker)
    served.loop.step()
    assert served.answer()[:2] == struct.pack("!H", 7)


def test_without_a_server_to_ask_there_is_an_answer_at_once(served: Served):
    (served.folder / "resolver").write_text("upstream nonsense\n")
    served.ask(query("example.org"))
    assert served.answer()[3] & 0xF == 2


def test_nonsense_is_answered_or_dropped_and_the_server_goes_on(served: Served):
    for message in (b"", b"\0", b"\xff" * 600, query("web", flags=0x8000)):
        served.ask(message)
    served.ask(query("web", flags=0x2800))
    assert served.answer()[3] & 0xF == 4
    served.ask(query("web"))
    assert served.answer().endswith(bytes([10, 0, 0, 2]))


def test_over_a_stream_several_questions_are_answered_in_turn(served: Served):
    with socket.create_connection(served.tcp_place, timeout=5) as stream:
        served.loop.step()
        for number in (1, 2):
            message = query("web", number=number)
            framed = struct.pack("!H", len(message)) + message
            stream.sendall(framed[:1])
            served.loop.step()
            stream.sendall(framed[1:])
            served.loop.step()
            served.loop.step()
            received = stream.recv(65535)
            assert received[2:4] == struct.pack("!H", number)
            assert received.endswith(bytes([10, 0, 0, 2]))
    served.loop.step()


def test_no_more_is_kept_of_questions_than_a_bound(served: Served):
    for number in range(200):
        served.ask(query("example.org", number=number))
    assert len(served.server.forwarded) == 128


def test_a_server_that_is_not_there_is_a_failure_at_once(served: Served):
    served.upstream.close()
    served.ask(query("example.org"))
    while served.server.forwarded:
        served.loop.step()
    assert served.answer()[3] & 0xF == 2


def test_a_server_that_says_nothing_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("builder.sandbox.monitor.nameserver._WAIT_S", 0.01)
    served.ask(query("example.org"))
    while served.server.forwarded:
        served.loop.step()
    assert served.answer()[3] & 0xF == 2
