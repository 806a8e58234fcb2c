"""ADD of a URL: one file, as the server has it now.

What a server names by ETag or Last-Modified is kept in the store, and asked for again with that
name: an unchanged file is not transferred twice. With --checksum nothing is
asked for what is there.

    DIR/meta.json   what the server said
    DIR/body        the file, mode 0600, with the time of Last-Modified or 1970
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import ClassVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from builder.errors import StepFailedError
from builder.graph.model import HttpOp
from builder.location import Span
from builder.worker.source_tree import SourceTree, shown_url
from cache.digest import Digest, sha256_digest
from cache.filelock import GivenUp
from cache.statedir import StateDir, write_atomically

Tell = Callable[[int, int], object]
"""Takes the number of bytes done, and of all or 0."""

TIMEOUT_S = 30.0  # without a byte
_CHUNK = 1 << 18
_URL_CHARACTERS = "%!#$&'()*+,/:;=?@[]~"  # what stays; else Dockerfiles may say a URL as people do
_ALGORITHMS = ("sha256", "sha384", "sha512")


class DownloadError(StepFailedError):
    """A URL that does not give its file, or not the expected one."""

    code: ClassVar[str] = "download"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the server said of a body."""

    url: str
    etag: str
    last_modified: str
    mtime: int
    digests: dict[str, str]  # hex by algorithm


def fetch_file(
    op: HttpOp,
    state: StateDir,
    tell: Tell,
    span: Span | None,
    *,
    given_up: GivenUp | None = None,
) -> tuple[Digest, SourceTree]:
    """The file, alone in a directory of this process's, and what names it with its content.

    DownloadError names the URL, and both digests or the status; nothing is left then.
    """
    keep_dir = state.download(op.url)
    with state.download_lock(op.url, given_up=given_up):
        os.makedirs(keep_dir, mode=0o700, exist_ok=True)
        download = _Download(op, keep_dir, tell, span)
        try:
            kept = download.known() or download.fetch()
        except BaseException:
            with suppress(OSError):
                os.rmdir(keep_dir)  # stays where something of an earlier build is in it
            raise
        os.utime(keep_dir)  # prune takes what was not used for long
        scratch_dir = state.scratch("download")
        os.link(os.path.join(keep_dir, "body"), os.path.join(scratch_dir, op.filename))
    content = f"{op.filename}\0{kept.mtime}\0{kept.digests['sha256']}"
    tree = SourceTree(scratch_dir, is_context=True, name=f"the download of {shown_url(op.url)}")
    return sha256_digest(content.encode("utf-8", "surrogateescape")), tree


class _Download:
    def __init__(self, op: HttpOp, keep_dir: str, tell: Tell, span: Span | None) -> None:
        self._op = op
        self._tell = tell
        self._span = span
        self._url = shown_url(op.url)  # without what is secret in it
        self._body = os.path.join(keep_dir, "body")
        self._meta = os.path.join(keep_dir, "meta.json")
        self._kept = self._read_kept()

    def _read_kept(self) -> _Kept | None:
        """What is there of an earlier build, if it is whole."""
        try:
            with open(self._meta, "rb") as file:
                kept = _Kept(**json.loads(file.read()))
            with open(self._body, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError, TypeError):
            return None
        return kept if kept.url == self._url and kept.digests.get("sha256") == digest else None

    def known(self) -> _Kept | None:
        """The earlier body where --checksum says that it is the one."""
        algorithm, _, expected = self._op.checksum.partition(":")
        if self._kept is None or not expected:
            return None
        return self._kept if self._kept.digests.get(algorithm) == expected else None

    def fetch(self) -> _Kept:
        """Ask the server, and keep what it gives."""
        try:
            return self._fetch()
        except HTTPError as error:
            error.close()
            if error.code == 304 and self._kept is not None:
                self._check(self._kept.digests)
                return self._kept
            raise self._failure(f"HTTP status {error.code} {error.reason}") from error
        except URLError as error:
            reason = error.reason
            text = reason.strerror if isinstance(reason, OSError) else None
            raise self._failure(text or str(reason)) from error
        except (OSError, HTTPException, ValueError) as error:
            raise self._failure(str(error) or type(error).__name__) from error

    def _failure(self, why: str) -> DownloadError:
        return DownloadError(f"failed to load {shown_url(self._op.url)}: {why}", span=self._span)

    def _fetch(self) -> _Kept:
        parts = urlsplit(self._op.url)
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=host, fragment=""))
        request = Request(quote(url, safe=_URL_CHARACTERS))  # noqa: S310 see _opener
        request.add_header("Accept-Encoding", "identity")
        request.add_header("User-Agent", "pybuild")
        if parts.username is not None:
            # not for whom a redirect leads to
            request.add_unredirected_header("Authorization", _basic(parts.username, parts.password))
        if self._kept is not None and self._kept.etag:
            request.add_header("If-None-Match", self._kept.etag)
        elif self._kept is not None and self._kept.last_modified:
            request.add_header("If-Modified-Since", self._kept.last_modified)
        with _opener().open(request, timeout=TIMEOUT_S) as response:
            headers = {key.lower(): value for key, value in response.headers.items()}
            return self._receive(response.read, headers)

    def _receive(self, read: Callable[[int], bytes], headers: dict[str, str]) -> _Kept:
        last_modified = headers.get("last-modified", "")
        total = int(headers.get("content-length", "0"))
        aside = f"{self._body}.new"
        try:
            digests = self._save(read, aside, total)
            self._check(digests)
            kept = _Kept(
                self._url,
                headers.get("etag", ""),
                last_modified,
                _seconds(last_modified),
                digests,
            )
            os.utime(aside, (kept.mtime, kept.mtime))
            if os.path.exists(self._meta):
                os.unlink(self._meta)  # it goes with the old body
            os.rename(aside, self._body)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise
        write_atomically(self._meta, json.dumps(asdict(kept)).encode())
        return kept

    def _save(self, read: Callable[[int], bytes], path: str, total: int) -> dict[str, str]:
        hashes = {name: hashlib.new(name) for name in self._algorithms()}
        done = 0
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            while data := read(_CHUNK):
                done += len(data)
                file.write(data)
                for one in hashes.values():
                    one.update(data)
                self._tell(done, total)
        if total and done != total:
            raise self._failure(f"the connection ended after {done} of {total} bytes")
        return {name: one.hexdigest() for name, one in hashes.items()}

    def _algorithms(self) -> set[str]:
        algorithm = self._op.checksum.partition(":")[0]
        if algorithm and algorithm not in _ALGORITHMS:
            raise self._failure(f"unsupported digest algorithm: {algorithm}")
        return {"sha256", algorithm or "sha256"}

    def _check(self, digests: dict[str, str]) -> None:
        expected = self._op.checksum
        if not expected:
            return
        algorithm = expected.partition(":")[0]
        found = f"{algorithm}:{digests.get(algorithm, '')}"
        if found != expected:
            raise DownloadError(
                f"digest mismatch for {shown_url(self._op.url)}: it has {found},"
                f" --checksum says {expected}",
                span=self._span,
                hint="the file has changed, or is not the one that was meant",
            )


def _basic(user: str, password: str | None) -> str:
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()


def _seconds(last_modified: str) -> int:
    """Seconds since the epoch; 0, which is 1970, for what is no date."""
    try:
        return max(0, int(parsedate_to_datetime(last_modified).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return 0


def _opener() -> OpenerDirector:
    """Opens http and https and nothing else, also behind a redirect; proxies as the environment."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
