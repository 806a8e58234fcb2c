"""Connections: pools of them to any host, TLS, proxies. One try a request, no redirects."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import IO, cast
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import urllib3
from urllib3.util import Timeout

from builder.registry.errors import UnreachableRegistryError
from builder.registry.hosts import Trust, is_loopback
from builder.version import VERSION
from cache.digest import Reader
from cache.record import record

Response = urllib3.BaseHTTPResponse
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # without a byte
_BLOCK_BYTES = 1 << 17
_CONNECTIONS = 8  # to a host, kept open


@record
class Body:
    """What a request carries; opened anew for each try."""

    open: Callable[[], AbstractContextManager[Reader]]
    size_bytes: int | None  # None: it is sent in chunks, until there are no more


def finish(response: Response) -> None:
    """Let the connection be used again; where much is left to read, close it instead."""
    left = response.headers.get("Content-Length", "0")
    if not response.closed and left.isdecimal() and int(left) <= _BLOCK_BYTES:
        with suppress(urllib3.exceptions.HTTPError):
            response.drain_conn()
    if response.closed:  # nothing is left, as after a HEAD
        response.release_conn()
    else:
        response.close()


class Http:
    """Safe from several threads. Closed by `close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._proxies = _proxies(environment)
        self._guard = threading.Lock()
        self._pools: dict[tuple[Trust, str], urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        trust: Trust,
        body: bytes | Body | None = None,
    ) -> Response:
        """The answer, its body not read yet; urllib3's HTTPError where there is none."""
        pool = self._pool(url, trust)
        sent = {"User-Agent": f"pybuild/{VERSION}", "Accept-Encoding": "identity", **headers}
        if isinstance(body, Body) and body.size_bytes is not None:
            sent["Content-Length"] = str(body.size_bytes)
        with body.open() if isinstance(body, Body) else nullcontext(body) as content:
            return pool.request(
                method,
                url,
                headers=sent,
                body=cast("IO[bytes] | bytes | None", content),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )

    def close(self) -> None:
        """Close all connections. Idempotent."""
        with self._guard:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _pool(self, url: str, trust: Trust) -> urllib3.PoolManager:
        proxy = self._proxy_of(url)
        with self._guard:
            if (trust, proxy) not in self._pools:
                self._pools[trust, proxy] = _pool_manager(trust, proxy)
            return self._pools[trust, proxy]

    def _proxy_of(self, url: str) -> str:
        parts = urlsplit(url)
        if is_loopback(parts.netloc) or proxy_bypass(parts.netloc, self._proxies):
            return ""
        return self._proxies.get(parts.scheme) or self._proxies.get("all", "")


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """By scheme, and "no" for where none is used; the lower-case variable wins."""
    found = dict[str, str]()
    for name, value in sorted(environment.items()):  # upper case sorts first
        if name.lower().endswith("_proxy") and value:
            found[name.lower().removesuffix("_proxy")] = value
    return found


def _pool_manager(trust: Trust, proxy: str) -> urllib3.PoolManager:
    context = _tls_context(trust)
    timeout = Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
    if not proxy:
        return urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            ssl_context=context,
            retries=False,
            timeout=timeout,
            blocksize=_BLOCK_BYTES,
        )
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in {"http", "https"}:
        raise UnreachableRegistryError(
            f"the proxy {parts.scheme}://{parts.hostname} can't be used",
            hint="only http and https proxies can; unset it, or name the host in no_proxy",
        )
    host = parts.netloc.rpartition("@")[2]
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    return urllib3.ProxyManager(
        f"{parts.scheme}://{host}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        maxsize=_CONNECTIONS,
        ssl_context=context,
        retries=False,
        timeout=timeout,
        blocksize=_BLOCK_BYTES,
    )


def _tls_context(trust: Trust) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in trust.ca_files:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise UnreachableRegistryError(
                f"the certificate authority {path} can't be read: {error}"
            ) from error
    if trust.client_certificate is not None:
        certificate, key = trust.client_certificate
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise UnreachableRegistryError(
                f"the client certificate {certificate} can't be used: {error}"
            ) from error
    return context
