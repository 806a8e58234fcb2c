"""Blobs into a repository: found there, mounted from another one, or sent.

A blob goes in one request, as every registry takes it. Where that breaks off, the upload is asked
how far it came, and the rest follows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from builder.registry.client import ATTEMPTS, Request
from builder.registry.errors import (
    NotInRegistryError,
    RegistryError,
    TroubledRegistryError,
    UnreachableRegistryError,
)
from builder.registry.http import Body, Response, finish
from builder.registry.repository import Repository, scope_of
from cache.descriptor import Descriptor
from cache.digest import Reader

Outcome = Literal["exists", "mounted", "sent"]
OpenBlob = Callable[[], AbstractContextManager[Reader]]
Tell = Callable[[int], None]
"""Takes the number of bytes sent so far."""

_CHUNK = 1 << 20


def put_blob(
    repository: Repository,
    blob: Descriptor,
    open_blob: OpenBlob,
    *,
    mount_from: Sequence[str] = (),
    tell: Tell = lambda _: None,
) -> Outcome:
    """Make the blob one of the repository's; `mount_from` are paths of others beside it."""
    if repository.has_blob(blob.digest):
        return "exists"
    location = ""
    for path in mount_from:
        location = _mount(repository, blob, path)
        if not location:
            return "mounted"
    _Upload(repository, blob, open_blob, tell).send(location)
    return "sent"


def _mount(repository: Repository, blob: Descriptor, path: str) -> str:
    """The upload that the registry has begun instead; "" where the blob is there now."""
    query = urlencode({"mount": blob.digest, "from": path})
    scopes = (*repository.scopes, scope_of(path, writes=False))
    request = Request("POST", f"v2/{repository.path}/blobs/uploads/?{query}", scopes, body=b"")
    response = repository.client.request(request, expect=(201, 202))
    finish(response)
    return "" if response.status == 201 else location_of(response, repository)


def begin_upload(repository: Repository) -> str:
    """Where a new upload goes to."""
    target = f"v2/{repository.path}/blobs/uploads/"
    response = repository.client.request(
        Request("POST", target, repository.scopes, body=b""), expect=(202,)
    )
    finish(response)
    return location_of(response, repository)


class _Upload:
    def __init__(
        self, repository: Repository, blob: Descriptor, open_blob: OpenBlob, tell: Tell
    ) -> None:
        self._repository = repository
        self._client = repository.client
        self._blob = blob
        self._open_blob = open_blob
        self._tell = tell

    def send(self, location: str) -> None:
        """To the upload at `location`, or a new one."""
        location = location or begin_upload(self._repository)
        offset = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._send_rest(location, offset)
            except (RegistryError, HTTPError) as error:
                if attempt == ATTEMPTS or not _is_passing(error):
                    raise
                self._client.pause(attempt)
                if self._repository.has_blob(self._blob.digest):
                    return  # only its answer was lost
                location, offset = self._resumed(location)
            else:
                return

    def _send_rest(self, location: str, offset: int) -> None:
        if offset and offset < self._blob.size_bytes:
            end = self._blob.size_bytes - 1
            response = self._request("PATCH", location, offset, f"{offset}-{end}")
            location = location_of(response, self._repository)
            offset = self._blob.size_bytes
        join = "&" if "?" in location else "?"
        self._request("PUT", f"{location}{join}{urlencode({'digest': self._blob.digest})}", offset)

    def _request(
        self, method: Literal["PUT", "PATCH"], target: str, offset: int, span: str = ""
    ) -> Response:
        left = self._blob.size_bytes - offset
        headers = [("Content-Type", "application/octet-stream")]
        if span:
            headers.append(("Content-Range", span))
        body = Body(lambda: self._from(offset), left) if left else b""
        request = Request(method, target, self._repository.scopes, tuple(headers), body)
        response = self._client.request(request, expect=(201, 202, 204), attempts=1)
        finish(response)
        return response

    def _resumed(self, location: str) -> tuple[str, int]:
        """Where the upload goes on, and with which byte; a new one where it is gone."""
        try:
            request = Request("GET", location, self._repository.scopes)
            response = self._client.request(request, expect=(204, 200))
        except NotInRegistryError:
            return begin_upload(self._repository), 0
        finish(response)
        end = response.headers.get("Range", "").rpartition("-")[2]
        offset = int(end) + 1 if end.isdecimal() and int(end) > 0 else 0
        if offset > self._blob.size_bytes:
            return begin_upload(self._repository), 0
        return location_of(response, self._repository, location), offset

    @contextmanager
    def _from(self, offset: int) -> Generator[Reader]:
        with self._open_blob() as source:
            left = offset
            while left and (data := source.read(min(_CHUNK, left))):
                left -= len(data)
            yield _Told(source, offset, self._tell)


class _Told:
    """Reads on, and tells how far."""

    def __init__(self, source: Reader, done_bytes: int, tell: Tell) -> None:
        self._source = source
        self._done_bytes = done_bytes
        self._tell = tell

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._done_bytes += len(data)
        self._tell(self._done_bytes)
        return data


def _is_passing(error: RegistryError | HTTPError) -> bool:
    """Whether it may go better the next time."""
    return isinstance(error, (HTTPError, UnreachableRegistryError, TroubledRegistryError))


def location_of(response: Response, repository: Repository, default: str = "") -> str:
    """Where the upload goes on; RegistryError where the answer doesn't say it."""
    location = response.headers.get("Location", default)
    if not location:
        raise RegistryError(f"{repository.name} does not say where to upload to")
    return location
