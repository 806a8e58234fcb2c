"""Requests to one registry: tried again where that helps, authorized, redirected with care."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urljoin, urlsplit

import urllib3.exceptions
from urllib3.exceptions import HTTPError

from builder.registry.access import Credentials
from builder.registry.auth import Authorizer
from builder.registry.challenge import parse_challenges
from builder.registry.errors import RegistryError, UnreachableRegistryError
from builder.registry.failures import error_of, why
from builder.registry.hosts import Server, is_loopback
from builder.registry.http import Body, Http, Response, finish
from cache.record import record, replace

ATTEMPTS = 5
_CONNECT_ATTEMPTS = 2  # who doesn't answer at all will mostly not do so a minute later
_PAUSE_S = 0.25  # doubled each time
_LONGEST_PAUSE_S = 60.0
_RETRIED = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECT_LIMIT = 5


@record
class Request:
    """What to ask: `target` is a path below the server's prefix, or a URL that it gave."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    target: str
    scopes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body | None = None


class Client:
    """Safe from several threads. `name` is the registry's, for messages."""

    def __init__(
        self,
        http: Http,
        server: Server,
        credentials: Callable[[], Credentials | None],
        *,
        name: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.server = server
        self._http = http
        self._sleep = sleep
        self._authorizer = Authorizer(name, credentials, self._ask_for_token)
        self._guard = threading.Lock()
        self._scheme = server.schemes[0] if len(server.schemes) == 1 else ""

    def request(
        self, request: Request, *, expect: Collection[int] = (200,), attempts: int = ATTEMPTS
    ) -> Response:
        """The answer if its status is one of `expect`, its body unread; else a RegistryError."""
        for attempt in range(1, attempts + 1):
            pause = _PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
            try:
                response = self._authorized(request)
            except HTTPError as error:
                if attempt >= _attempts_after(error, attempts):
                    raise self._unreachable(error) from error
            else:
                if response.status in expect:
                    return response
                pause = max(pause, _retry_after(response))
                is_final = attempt == attempts or pause > _LONGEST_PAUSE_S
                if response.status not in _RETRIED or is_final:
                    raise error_of(response, self.name)
                finish(response)
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def pause(self, attempt: int) -> None:
        """Wait, longer after each failed attempt."""
        self._sleep(_PAUSE_S * 2 ** (attempt - 1))

    def url(self, target: str) -> str:
        """The URL of a request's target."""
        return urljoin(f"{self._base()}{self.server.prefix}/", target)

    def _base(self) -> str:
        with self._guard:
            if not self._scheme:
                self._scheme = self._find_scheme()
            return f"{self._scheme}://{self.server.host}"

    def _find_scheme(self) -> str:
        """Https where the server speaks it. A certificate that is wrong is no reason for http."""
        first, *others = self.server.schemes
        try:
            self._ping(first)
        except HTTPError as error:
            if not others or _is_untrusted(error):
                raise self._unreachable(error) from error
            try:
                self._ping(others[0])
            except HTTPError as second:
                raise self._unreachable(second) from second
            return others[0]
        return first

    def _ping(self, scheme: str) -> None:
        url = f"{scheme}://{self.server.host}{self.server.prefix}/v2/"
        finish(self._http.send("GET", url, headers={}, trust=self.server.trust))

    def _authorized(self, request: Request) -> Response:
        url = self.url(request.target)
        header = self._authorizer.header(request.scopes) if self._is_own(url) else ""
        response = self._redirected(request, url, header)
        if response.status != 401 or not self._is_own(url):
            return response
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        try:
            better = self._authorizer.learn(challenges, request.scopes, header)
        except BaseException:
            response.close()
            raise
        if not better:
            return response
        finish(response)
        return self._redirected(request, url, better)

    def _redirected(self, request: Request, url: str, authorization: str) -> Response:
        """Redirects lead to object storage, which must not see the registry's credentials."""
        for _ in range(_REDIRECT_LIMIT):
            headers = dict(request.headers)
            if authorization and self._is_own(url):
                headers["Authorization"] = authorization
            response = self._send(request, url, headers)
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                return response
            finish(response)
            url = self._checked(urljoin(url, location), url)
            if response.status == 303:
                request = replace(request, method="GET", body=None)
        raise RegistryError(f"{self.name} redirects in a circle")

    def _send(self, request: Request, url: str, headers: Mapping[str, str]) -> Response:
        trust = self.server.trust
        if not self._is_own(url):
            trust = replace(trust, client_certificate=None)
        return self._http.send(request.method, url, headers=headers, trust=trust, body=request.body)

    def _is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" == self._base()

    def _checked(self, url: str, before: str) -> str:
        """The URL to go to; nobody is led from a checked connection to one that isn't."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise RegistryError(f"{self.name} redirects to what is no URL of the web")
        downgraded = parts.scheme == "http" and before.startswith("https:")
        if downgraded and self.server.trust.verify and not is_loopback(parts.netloc):
            raise RegistryError(
                f"{self.name} redirects to http://{parts.netloc}, which proves nothing",
                hint="--tls-verify=false follows it",
            )
        return url

    def _ask_for_token(
        self, method: Literal["GET", "POST"], url: str, *, authorization: str, form: bytes
    ) -> Response:
        self._checked(url, self._base())
        headers = {"Authorization": authorization} if authorization else {}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.send(
                    method, url, headers=headers, trust=self.server.trust, body=form or None
                )
            except HTTPError as error:
                if attempt >= _attempts_after(error, ATTEMPTS):
                    raise self._unreachable(error) from error
            else:
                if response.status not in _RETRIED or attempt == ATTEMPTS:
                    return response
                finish(response)
            self.pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, error: HTTPError) -> UnreachableRegistryError:
        return UnreachableRegistryError(
            f"the registry {self.name} cannot be reached: {why(error)}",
            hint="--tls-verify=false talks to it all the same, and anybody may then be it"
            if _is_untrusted(error)
            else "is its name right, is there a network, is a proxy to be set (https_proxy)?",
        )


def _attempts_after(error: HTTPError, attempts: int) -> int:
    if _is_untrusted(error):
        return 1
    never_connected = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
    )
    return min(attempts, _CONNECT_ATTEMPTS) if isinstance(error, never_connected) else attempts


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether there is a server, whose certificate is wrong."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        inner = error.args[0] if error.args else None
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return False


def _retry_after(response: Response) -> float:
    """The seconds that the server asks to wait, by number or date; 0 where it doesn't."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0
