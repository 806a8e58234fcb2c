"""A blob into a repository while it is still being made: its size and its digest come last.

Nothing that goes wrong on the way is an error here: whoever makes the blob keeps it, and sends it
by `put_blob` where this has come to nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from queue import Empty, Full, Queue
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from builder.registry.client import Request
from builder.registry.errors import RegistryError
from builder.registry.http import Body, finish
from builder.registry.repository import Repository
from builder.registry.upload import Tell, begin_upload, location_of
from cache.digest import Digest

_BLOCKS = 16  # that wait to be sent
_LOOK_S = 0.5
_STALLED_S = 20.0  # without room for a block: the packing goes on without

Ended = Callable[[], None]


class _GivenUpError(Exception):
    """Nobody wants the blob any more."""


class StreamedUpload:
    """A `Writer`; the blob's bytes are sent from a thread of its own.

    It ends with `finish` or `give_up`. A server that is slower than the blob's maker holds it up,
    one that takes nothing for a while does not. `given_up` may be shared by several: who gives up
    one gives up all.
    """

    def __init__(
        self,
        repository: Repository,
        tell: Tell = lambda _: None,
        ended: Ended = lambda: None,
        *,
        given_up: threading.Event | None = None,
    ) -> None:
        self._given_up = given_up or threading.Event()
        self._repository = repository
        self._tell = tell
        self._ended = ended
        self._blocks: Queue[bytes] = Queue(_BLOCKS)
        self._failed = threading.Event()
        self._location = ""
        self._sent_bytes = 0
        self._thread = threading.Thread(target=self._send, name="upload", daemon=True)
        self._thread.start()

    def write(self, data: bytes, /) -> None:
        if data:
            self._put(bytes(data))

    def finish(self, digest: Digest) -> None:
        """All is written; the repository has the blob then, or it has not."""
        self._put(b"")
        while self._thread.is_alive() and not self._is_over:
            self._thread.join(_LOOK_S)
        if not self._is_over:
            join = "&" if "?" in self._location else "?"
            target = f"{self._location}{join}{urlencode({'digest': digest})}"
            with suppress(RegistryError, HTTPError):
                self._request(Request("PUT", target, self._repository.scopes, body=b""))
        self._ended()

    def give_up(self) -> None:
        """The blob comes to nothing. The thread ends soon; a silent server may hold it up."""
        self._given_up.set()

    @property
    def _is_over(self) -> bool:
        """It comes to nothing."""
        return self._failed.is_set() or self._given_up.is_set()

    def read(self, size: int = -1, /) -> bytes:
        """The next block, of whatever size: for the thread."""
        del size
        while not self._is_over:
            with suppress(Empty):
                block = self._blocks.get(timeout=_LOOK_S)
                self._sent_bytes += len(block)
                self._tell(self._sent_bytes)
                return block
        raise _GivenUpError

    def _put(self, block: bytes) -> None:
        waiting_since = time.monotonic()
        while not self._is_over:
            with suppress(Full):
                self._blocks.put(block, timeout=_LOOK_S)
                return
            if time.monotonic() - waiting_since > _STALLED_S:
                self._failed.set()

    def _send(self) -> None:
        headers = (("Content-Type", "application/octet-stream"),)
        try:
            location = begin_upload(self._repository)
            body = Body(lambda: nullcontext(self), None)
            request = Request("PATCH", location, self._repository.scopes, headers, body)
            self._request(request)
        except (RegistryError, HTTPError, OSError, _GivenUpError):
            self._failed.set()

    def _request(self, request: Request) -> None:
        response = self._repository.client.request(request, expect=(201, 202, 204), attempts=1)
        finish(response)
        self._location = location_of(response, self._repository, self._location)
