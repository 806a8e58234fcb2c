import socket
import threading
from contextlib import suppress

import pytest

from builder.worker.agent_proxy import AgentProxy


class Agent:
    """An agent that answers once its caller has said all."""

    def __init__(self, path):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                heard = b""
                while data := client.recv(100):
                    heard += data
                client.sendall(b"signed " + heard)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def agent(tmp_path):
    one = Agent(tmp_path / "agent")
    yield str(tmp_path / "agent")
    one.close()


def connected(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    try:
        client.connect(str(path))
    except OSError:
        client.close()
        raise
    return client


def said(client):
    answer = b""
    while data := client.recv(100):
        answer += data
    return answer


def test_an_answer_comes_back_after_the_caller_has_said_all(tmp_path, agent):
    proxy = AgentProxy(str(tmp_path / "proxy"), agent)
    with connected(tmp_path / "proxy") as client:
        client.sendall(b"challenge")
        client.shutdown(socket.SHUT_WR)
        assert said(client) == b"signed challenge"
    proxy.close()


def test_closing_ends_the_listening_and_cuts_connections_off(tmp_path, agent):
    proxy = AgentProxy(str(tmp_path / "proxy"), agent)
    with connected(tmp_path / "proxy") as client:
        client.sendall(b"half")
        proxy.close()
        proxy.close()
        with suppress(ConnectionResetError):  # where it was not taken yet
            assert said(client) in {b"", b"signed half"}
    with pytest.raises(ConnectionRefusedError):
        connected(tmp_path / "proxy")


def test_without_an_agent_the_connection_just_ends(tmp_path):
    proxy = AgentProxy(str(tmp_path / "proxy"), str(tmp_path / "nobody"))
    with connected(tmp_path / "proxy") as client:
        assert said(client) == b""
    proxy.close()


def test_the_socket_may_lie_deeper_than_an_address_can_say(tmp_path, agent):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    proxy = AgentProxy(str(deep / "proxy"), agent)
    assert (deep / "proxy").is_socket()
    proxy.close()
