"""The WWW-Authenticate header: what a server wants to see. Grammar: RFC 9110, 11.6.1."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cache.record import record

_LIMIT = 8192
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z0-9._~+/-]+)(?:\s+|$|(?=,))")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9._~+/-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@record
class Challenge:
    """One scheme with its parameters, names in lower case."""

    scheme: str  # "basic", "bearer"
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return dict(self.parameters).get(name, "")


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """All challenges of the headers, in order; what is no challenge ends its header's."""
    found: list[Challenge] = []
    for header in headers:
        text = header[:_LIMIT]
        at = 0
        while scheme := _SCHEME.match(text, at):
            at = scheme.end()
            parameters: list[tuple[str, str]] = []
            while parameter := _PARAMETER.match(text, at):
                name, quoted, bare = parameter.groups()
                value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters.append((name.lower(), value))
                at = parameter.end()
            found.append(Challenge(scheme[1].lower(), tuple(parameters)))
    return tuple(found)
