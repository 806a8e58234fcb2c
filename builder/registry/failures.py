"""What a registry's refusal or a broken connection means, in the user's words."""

from __future__ import annotations

import json
from typing import cast

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from builder.registry.errors import (
    NotInRegistryError,
    RateLimitedError,
    RegistryAccessError,
    RegistryError,
    TroubledRegistryError,
)
from builder.registry.http import Response

_BODY_LIMIT_BYTES = 64 << 10
_TEXT_LIMIT = 300


def error_of(response: Response, registry: str) -> RegistryError:
    """The error that an answer with a bad status is; closes the response."""
    said = _said(response)
    match response.status:
        case 401 | 403:
            return RegistryAccessError(
                f"{registry} denies access{said}",
                hint=f"the name may be wrong, or `pybuild login {registry}` may be needed",
            )
        case 404:
            return NotInRegistryError(f"{registry} does not have it{said}")
        case 429:
            pause = response.headers.get("Retry-After", "")
            later = f" in {pause[:20]} seconds" if pause.isdecimal() else " later"
            return RateLimitedError(
                f"{registry} has had too many requests from here{said}",
                hint=f"try again{later}; some registries allow more after `pybuild login`",
            )
        case status if status >= 500:
            return TroubledRegistryError(f"{registry} answers with status {status}{said}")
        case status:
            return RegistryError(f"{registry} answers with status {status}{said}")


def _said(response: Response) -> str:
    try:
        content = response.read(_BODY_LIMIT_BYTES)
    except HTTPError:
        content = b""
    finally:
        response.close()
    messages = _messages(content)
    return f": {'; '.join(messages)}" if messages else ""


def _messages(content: bytes) -> list[str]:
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return []
    errors = cast("dict[str, object]", document).get("errors") if isinstance(document, dict) else ()
    texts: list[str] = []
    for error in cast("list[object]", errors)[:3] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            fields = cast("dict[str, object]", error)
            texts.append(printable(str(fields.get("message") or fields.get("code") or "")))
    return [text for text in texts if text]


def printable(text: str) -> str:
    """Others' text for a message: one line, no control characters, not too long."""
    return "".join(c if c.isprintable() else " " for c in text[:_TEXT_LIMIT]).strip()


def why(error: HTTPError) -> str:
    """Why a connection failed."""
    match error:
        case NameResolutionError():
            return "its name is unknown here"
        case NewConnectionError():
            cause = error.__cause__
            text = cause.strerror if isinstance(cause, OSError) else None
            return text or printable(str(error).rpartition(": ")[2])
        case ConnectTimeoutError():
            return "it does not answer"
        case ReadTimeoutError():
            return "it has stopped answering"
        case SSLError():
            return printable(f"TLS: {error}")
        case _:
            return printable(str(error)) or type(error).__name__
