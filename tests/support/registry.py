"""A registry in this process, with a token server and faults: what it has and saw is to be read.

It keeps to the distribution-spec where tests rely on it and shares no code with pybuild.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match."""

    method: str
    path: str  # a regular expression, searched for
    times: int = 1
    status: int = 0  # answered instead
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int = -1  # bytes of the body; then the connection ends
    corrupt: bool = False
    endless: bool = False  # more bytes than announced anywhere
    stall_s: float = 0  # nothing is read or answered for so long; then the connection ends


@dataclass
class Seen:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    sent_bytes: int = 0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry:
    """`auth` is "", "basic" or "token"; the only user is user:secret."""

    def __init__(self, *, auth: str = "") -> None:
        self.auth = auth
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.redirect_to = ""  # where blobs are: http://HOST
        self.knows_range = True
        self.can_mount = True
        self.wrong_digest_header = False
        self.tokens: dict[str, str] = {}  # token → scopes
        self.page = 1000
        self.lists_all = False  # digests among the tags
        self.lists_referrers = False  # has the referrers API
        self.guard = threading.Lock()
        self.numbers = count()  # of uploads
        self.server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def put_blob(self, repository: str, content: bytes) -> str:
        self.blobs[repository, digest_of(content)] = content
        return digest_of(content)

    def put_manifest(
        self, repository: str, tag: str, document: Any, media_type: str = MANIFEST
    ) -> str:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        for name in (tag, digest_of(content)):
            self.manifests[repository, name] = (media_type, content)
        return digest_of(content)

    def put_layout(self, repository: str, tag: str, layout: Path) -> str:
        """All blobs of an OCI layout, and its first manifest under the tag; its digest."""
        for path in (layout / "blobs" / "sha256").iterdir():
            self.put_blob(repository, path.read_bytes())
        index = json.loads((layout / "index.json").read_text())
        content = self.blobs[repository, index["manifests"][0]["digest"]]
        return self.put_manifest(repository, tag, content)

    def requests(self, method: str, path: str) -> list[Seen]:
        return [one for one in self.seen if one.method == method and re.search(path, one.path)]


@contextmanager
def running(*, auth: str = "") -> Iterator[FakeRegistry]:
    registry = FakeRegistry(auth=auth)
    thread = threading.Thread(target=registry.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.server.shutdown()
        registry.server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may leave at any time."""


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.registry = registry
    return Handler


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._do()

    def do_CONNECT(self) -> None:
        """Asked to be a proxy; it leads nowhere."""
        self.registry.seen.append(Seen("CONNECT", self.path, dict(self.headers.items())))
        self.send_error(502)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the base class's names

    def _do(self) -> None:
        registry = self.registry
        self.seen = Seen(self.command, self.path, dict(self.headers.items()))
        with registry.guard:
            registry.seen.append(self.seen)
        self.fault = self._fault()
        if self.fault and self.fault.stall_s:
            time.sleep(self.fault.stall_s)
            self.close_connection = True
            return
        if self.fault and self.fault.cut_after >= 0 and self.command in {"PUT", "PATCH", "POST"}:
            self.body = self.rfile.read(self.fault.cut_after)
            self._cut_upload()
            return
        self.body = self._body()
        if self.fault and self.fault.status:
            self._answer(self.fault.status, b"", **self.fault.headers)
            return
        try:
            self._route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _fault(self) -> Fault | None:
        with self.registry.guard:
            for fault in self.registry.faults:
                if (
                    fault.times
                    and fault.method == self.command
                    and re.search(fault.path, self.path)
                ):
                    fault.times -= 1
                    return fault
        return None

    def _cut_upload(self) -> None:
        parts = urlsplit(self.path)
        if "/uploads/" in parts.path:
            self.registry.uploads[parts.path.rpartition("/")[2]] += self.body
        self.close_connection = True
        self.connection.shutdown(2)

    def _route(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/token":
            return self._token(query)
        if not self._allowed(parts.path, query):
            return None
        if parts.path == "/v2/":
            return self._answer(200, b"{}")
        match = re.fullmatch(r"(?:/v2)?/(.+)/(manifests|blobs|tags|referrers)/(.*)", parts.path)
        if match is None:
            return self._missing()
        repository, kind, rest = match.groups()
        if kind == "tags":
            return self._tags(repository, query)
        if kind == "referrers":
            return self._referrers(repository, rest, int(query.get("from", ["0"])[0]))
        if kind == "manifests":
            return self._manifest(repository, rest)
        if match_upload := re.fullmatch(
            r"(.+)/blobs/uploads/(.*)", parts.path.removeprefix("/v2/")
        ):
            return self._upload(*match_upload.groups(), query)
        return self._blob(repository, rest)

    def _referrers(self, repository: str, subject: str, start: int) -> None:
        """One an answer, so that clients must ask for the next page. No filter is applied."""
        if not self.registry.lists_referrers:
            self._missing()
            return
        found = []
        for (name, tag), (media_type, content) in list(self.registry.manifests.items()):
            document = json.loads(content)
            if (
                name == repository
                and ":" in tag
                and document.get("subject", {}).get("digest") == subject
            ):
                found.append({"mediaType": media_type, "digest": tag, "size": len(content),
                              "artifactType": document["artifactType"]})  # fmt: skip
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found[start : start + 1]}
        headers = {"Content-Type": INDEX}
        if start + 1 < len(found):
            headers["Link"] = f'<{urlsplit(self.path).path}?from={start + 1}>; rel="next"'
        self._answer(200, json.dumps(index).encode(), **headers)

    def _allowed(self, path: str, query: dict[str, list[str]]) -> bool:
        sent = self.headers.get("Authorization", "")
        if self.registry.auth == "basic":
            if sent == "Basic " + base64.b64encode(b"user:secret").decode():
                return True
            self._answer(401, b"", **{"WWW-Authenticate": 'Basic realm="x"'})
            return False
        if self.registry.auth != "token":
            return True
        scopes = self.registry.tokens.get(sent.removeprefix("Bearer "))
        action = "pull" if self.command in {"GET", "HEAD"} else "push"
        repository = re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", path)
        needed = [(repository[1], action)] if repository else []
        needed += [(name, "pull") for name in query.get("from", [])]
        if scopes is not None and all(_covers(scopes, *one) for one in needed):
            return True
        realm = f"http://{self.registry.host}/token"
        self._answer(401, b"", **{"WWW-Authenticate": f'Bearer realm="{realm}",service="reg"'})
        return False

    def _token(self, query: dict[str, list[str]]) -> None:
        sent = self.headers.get("Authorization", "")
        form = parse_qs(self.body.decode())
        known = sent == "Basic " + base64.b64encode(b"user:secret").decode()
        known = known or form.get("refresh_token") == ["identity"]
        if not known:
            self._answer(401, b"{}")
            return
        token = f"token-{len(self.registry.tokens)}"
        self.registry.tokens[token] = " ".join(query.get("scope", form.get("scope", [])))
        self._answer(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def _tags(self, repository: str, query: dict[str, list[str]]) -> None:
        tags = sorted(
            tag
            for name, tag in self.registry.manifests
            if name == repository and (":" not in tag or self.registry.lists_all)
        )
        rest = [tag for tag in tags if tag > query.get("last", [""])[0] or self.registry.lists_all]
        page = rest[: self.registry.page]
        headers = {}
        if len(page) < len(rest):
            headers["Link"] = f'</v2/{repository}/tags/list?last={page[-1]}>; rel="next"'
        self._answer(200, json.dumps({"name": repository, "tags": page}).encode(), **headers)

    def _manifest(self, repository: str, name: str) -> None:
        registry = self.registry
        if self.command == "PUT":
            registry.put_manifest(repository, name, self.body, self.headers["Content-Type"])
            self._answer(201, b"", **{"Docker-Content-Digest": digest_of(self.body)})
            return
        if (repository, name) not in registry.manifests:
            self._missing()
            return
        media_type, content = registry.manifests[repository, name]
        digest = digest_of(b"" if registry.wrong_digest_header else content)
        self._answer(200, content, **{"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _blob(self, repository: str, digest: str) -> None:
        content = self.registry.blobs.get((repository, digest))
        if content is None:
            self._missing()
            return
        if self.registry.redirect_to and self.command == "GET":
            self._answer(307, b"", Location=f"{self.registry.redirect_to}{self.path}")
            return
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start and self.registry.knows_range:
            offset = int(start[1])
            self._answer(206, content[offset:])
            return
        self._answer(200, content)

    def _upload(self, repository: str, name: str, query: dict[str, list[str]]) -> None:
        registry = self.registry
        if self.command == "POST":
            source = (query.get("from", [""])[0], query.get("mount", [""])[0])
            if registry.can_mount and source in registry.blobs:
                registry.put_blob(repository, registry.blobs[source])
                self._answer(201, b"")
                return
            name = f"upload-{next(registry.numbers)}"
            registry.uploads[name] = b""
        elif name not in registry.uploads:
            self._missing()
            return
        registry.uploads[name] += self.body
        location = f"/v2/{repository}/blobs/uploads/{name}?state=x"
        end = max(len(registry.uploads[name]) - 1, 0)
        if self.command != "PUT":
            status = 204 if self.command == "GET" else 202
            self._answer(status, b"", Location=location, Range=f"0-{end}")
            return
        content = registry.uploads.pop(name)
        if digest_of(content) != query["digest"][0]:
            self._answer(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}')
            return
        registry.put_blob(repository, content)
        self._answer(201, b"")

    def _missing(self) -> None:
        self._answer(404, b'{"errors":[{"code":"UNKNOWN","message":"unknown\\u001b[31m"}]}')

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        fault = self.fault or Fault("", "")
        if fault.corrupt and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.endless:
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for _ in range(64):
                self.wfile.write(content + bytes(1 << 16))
            return
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.cut_after >= 0:
            self.wfile.write(content[: fault.cut_after])
            self.seen.sent_bytes = fault.cut_after
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)
            return
        self.wfile.write(content)
        self.seen.sent_bytes = len(content)


def _covers(scopes: str, repository: str, action: str) -> bool:
    return any(
        scope.split(":")[1] == repository and action in scope.split(":")[2].split(",")
        for scope in scopes.split()
        if scope.count(":") == 2
    )
