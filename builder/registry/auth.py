"""What a request says about who asks: nothing, name and password, or a token that a server gives.

Spec: distribution-spec's token authentication (docker's "Token Authentication Specification").
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol
from urllib.parse import urlencode, urlsplit

from builder.image.jsonobject import parse_object
from builder.registry.access import Credentials
from builder.registry.challenge import Challenge
from builder.registry.errors import RegistryAccessError, RegistryError
from builder.registry.http import Response
from cache.errors import PybuildError
from cache.record import record

_EXPIRY_S = 60  # where the server doesn't say; so the specification
_MARGIN_S = 10
_ANSWER_LIMIT_BYTES = 1 << 20
_CLIENT_ID = "pybuild"


class AskForToken(Protocol):
    """Sends a request to a token server, whose URL is trusted by now; its answer."""

    def __call__(
        self, method: Literal["GET", "POST"], url: str, *, authorization: str, form: bytes
    ) -> Response: ...


@record
class _Token:
    header: str
    expires: float


class Authorizer:
    """Knows what to send to one registry, for each set of scopes; safe from several threads."""

    def __init__(
        self,
        domain: str,
        credentials: Callable[[], Credentials | None],
        ask: AskForToken,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._domain = domain
        self._find_credentials = credentials
        self._ask = ask
        self._now = now
        self._guard = threading.RLock()
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._looked_up: tuple[Credentials | None] | None = None

    def header(self, scopes: tuple[str, ...]) -> str:
        """The Authorization header, as far as the registry has said that it wants one; or ""."""
        with self._guard:
            if self._challenge is None:
                return ""
            return self._answer(self._challenge, scopes)

    def learn(self, challenges: Sequence[Challenge], scopes: tuple[str, ...], sent: str) -> str:
        """What to send after a 401 to a request that had the header `sent`; "" to give up."""
        with self._guard:
            for challenge in challenges:
                if challenge.scheme == "bearer" or (challenge.scheme == "basic" and self._known()):
                    known = self._tokens.get(scopes)
                    if known is not None and known.header == sent:
                        del self._tokens[scopes]  # expired before its time
                    self._challenge = challenge
                    header = self._answer(challenge, scopes)
                    return "" if header == sent else header
            return ""

    def _known(self) -> Credentials | None:
        if self._looked_up is None:
            self._looked_up = (self._find_credentials(),)
        return self._looked_up[0]

    def _answer(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        if challenge.scheme == "basic":
            credentials = self._known()
            return credentials.basic if credentials else ""
        token = self._tokens.get(scopes)
        if token is None or token.expires < self._now():
            token = self._new_token(challenge, scopes)
            self._tokens[scopes] = token
        return token.header

    def _new_token(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        realm = challenge.get("realm")
        if urlsplit(realm).scheme not in {"http", "https"}:
            raise RegistryError(f"{self._domain} names no token server that could be asked")
        asked = scopes or tuple(challenge.get("scope").split())
        service = challenge.get("service")
        credentials = self._known()
        if credentials is not None and credentials.identity_token:
            response = self._refreshed(realm, service, asked, credentials.identity_token)
        else:
            pairs = [("service", service)] if service else []
            query = urlencode([*pairs, *(("scope", scope) for scope in asked)])
            join = "&" if "?" in realm else "?"
            response = self._ask(
                "GET",
                f"{realm}{join}{query}",
                authorization=credentials.basic if credentials else "",
                form=b"",
            )
        return self._token_of(response)

    def _refreshed(
        self, realm: str, service: str, scopes: tuple[str, ...], identity_token: str
    ) -> Response:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT_ID,
            "scope": " ".join(scopes),
            "refresh_token": identity_token,
        }
        return self._ask("POST", realm, authorization="", form=urlencode(form).encode())

    def _token_of(self, response: Response) -> _Token:
        content = response.read(_ANSWER_LIMIT_BYTES)
        response.close()
        if response.status in {400, 401, 403}:
            raise RegistryAccessError(
                f"{self._domain} does not take the credentials"
                if self._known()
                else f"{self._domain} wants credentials",
                hint=f"`pybuild login {self._domain}` stores them",
            )
        if response.status != 200:
            raise RegistryError(f"the token server of {self._domain} answers {response.status}")
        try:
            document = parse_object(content, what="token server's answer")
            token = document.text("token") or document.text("access_token", required=True)
            expires_in = document.integer("expires_in") or _EXPIRY_S
        except PybuildError as error:
            raise RegistryError(f"{self._domain}: {error.message}") from error
        if not token.isprintable():
            raise RegistryError(f"{self._domain}: the token is no text")
        return _Token(f"Bearer {token}", self._now() + max(expires_in - _MARGIN_S, _MARGIN_S))
