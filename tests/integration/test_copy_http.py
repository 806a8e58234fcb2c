"""ADD of a URL against a real server on loopback."""

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.graph.model import HttpOp
from builder.worker.http_step import DownloadError, fetch_file
from cache.statedir import StateDir

BODY = b"the file\n" * 1000
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
SECONDS = 1445412480


@dataclass
class Served:
    """What the server does, and what it was asked."""

    url: str = ""
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cut: int = 0  # bytes that are promised and not sent
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            state.requests.append((self.path, dict(self.headers)))
            if self.path.startswith("/to/"):
                self.answer(302, {"Location": self.path[4:]}, b"")
            elif self.is_known():
                self.answer(304, {}, b"")
            else:
                self.answer(state.status, state.headers, state.body)

        def is_known(self):
            asked = (self.headers["If-None-Match"], self.headers["If-Modified-Since"])
            return state.headers.get("ETag", state.headers.get("Last-Modified", "-")) in asked

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + state.cut))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path) -> Iterator[StateDir]:
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


def fetch(store, url, *, filename="f", checksum="", tell=lambda _done, _total: None):
    digest, tree = fetch_file(HttpOp(url, filename, checksum), store, tell, None)
    assert os.listdir(tree.root_dir) == [filename]
    return digest, os.path.join(tree.root_dir, filename)


def test_the_file_has_mode_0600_and_the_servers_time(served, store):
    served.headers["Last-Modified"] = DATE
    seen = []
    _, path = fetch(store, f"{served.url}/a/f", tell=lambda *amounts: seen.append(amounts))
    assert Path(path).read_bytes() == BODY
    assert os.stat(path).st_mode & 0o7777 == 0o600
    assert os.stat(path).st_mtime == SECONDS
    assert seen[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize("headers", [{}, {"Last-Modified": "yesterday"}])
def test_without_a_date_of_the_servers_the_time_is_1970(served, store, headers):
    served.headers.update(headers)
    _, path = fetch(store, f"{served.url}/f")
    assert os.stat(path).st_mtime == 0


def test_a_redirect_is_followed_and_the_fragment_not_sent(served, store):
    _, path = fetch(store, f"{served.url}/to/{served.url}/other?x=1#part")
    assert Path(path).read_bytes() == BODY
    assert [path for path, _ in served.requests] == [f"/to/{served.url}/other?x=1", "/other?x=1"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_anything_but_http_is_refused(served, store, target):
    with pytest.raises(DownloadError, match="failed to load"):
        fetch(store, f"{served.url}/to/{target}")


def test_user_and_password_are_sent_to_the_named_host_only_and_never_shown(served, store):
    other = served.url.replace("127.0.0.1", "localhost")
    with_password = served.url.replace("http://", "http://me:s%40crit@")
    fetch(store, f"{with_password}/to/{other}/f")
    assert served.requests[0][1]["Authorization"] == "Basic bWU6c0Bjcml0"
    assert "Authorization" not in served.requests[1][1]
    served.status = 404
    with pytest.raises(DownloadError) as caught:
        fetch(store, f"{with_password}/gone")
    assert "crit" not in caught.value.message
    assert "HTTP status 404" in caught.value.message


@pytest.mark.parametrize("header", [{"ETag": '"one"'}, {"Last-Modified": DATE}])
def test_an_unchanged_file_is_asked_for_but_not_transferred_again(served, store, header):
    served.headers.update(header)
    first, _ = fetch(store, f"{served.url}/f")
    served.body = b"must not be read"
    second, path = fetch(store, f"{served.url}/f")
    assert first == second
    assert Path(path).read_bytes() == BODY
    assert len(served.requests) == 2


def test_a_changed_file_is_fetched_and_gives_another_digest(served, store):
    served.headers["ETag"] = '"one"'
    first, old_path = fetch(store, f"{served.url}/f")
    served.headers["ETag"] = '"two"'
    served.body = b"new"
    second, path = fetch(store, f"{served.url}/f")
    assert first != second
    assert Path(path).read_bytes() == b"new"
    assert Path(old_path).read_bytes() == BODY


def test_a_kept_file_that_was_damaged_is_fetched_again(served, store):
    served.headers["ETag"] = '"one"'
    fetch(store, f"{served.url}/f")
    with open(os.path.join(store.download(f"{served.url}/f"), "body"), "r+b") as file:
        file.write(b"X")
    _, path = fetch(store, f"{served.url}/f")
    assert Path(path).read_bytes() == BODY


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_checksum_that_fits_lets_the_server_rest_the_next_time(served, store, algorithm):
    checksum = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    fetch(store, f"{served.url}/f", checksum=checksum)
    fetch(store, f"{served.url}/f", checksum=checksum)
    assert len(served.requests) == 1


def test_a_checksum_that_does_not_fit_names_the_url_and_both_digests(served, store):
    expected = f"sha256:{'0' * 64}"
    with pytest.raises(DownloadError) as caught:
        fetch(store, f"{served.url}/f", checksum=expected)
    for part in (f"{served.url}/f", expected, f"sha256:{hashlib.sha256(BODY).hexdigest()}"):
        assert part in caught.value.message
    assert os.listdir(store.downloads_dir) == []


def test_a_connection_that_ends_early_gives_no_file(served, store):
    served.cut = 10
    with pytest.raises(DownloadError, match="the connection ended after 9000 of 9010 bytes"):
        fetch(store, f"{served.url}/f")
    assert os.listdir(store.downloads_dir) == []


def test_a_server_that_is_not_there_is_named_with_the_reason(store):
    with pytest.raises(
        DownloadError, match=r"failed to load http://127\.0\.0\.1:9/f: Connection refused"
    ):
        fetch(store, "http://127.0.0.1:9/f")


def test_a_url_may_be_written_as_people_do(served, store):
    fetch(store, f"{served.url}/gr\u00fc\u00dfe/a b%20c?q=\u00e9&x=[1]")
    assert served.requests[0][0] == "/gr%C3%BC%C3%9Fe/a%20b%20c?q=%C3%A9&x=[1]"


def test_equal_files_of_two_names_are_two_results(served, store):
    one, path_one = fetch(store, f"{served.url}/f", filename="one")
    two, path_two = fetch(store, f"{served.url}/f", filename="two")
    assert one != two
    assert (os.path.basename(path_one), os.path.basename(path_two)) == ("one", "two")
