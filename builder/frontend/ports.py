"""EXPOSE: which ports a word names."""

from __future__ import annotations

from builder.frontend.problems import WordProblemError

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_PORT_LIMIT = 65535


def exposed_ports(word: str) -> list[str]:
    """`80`, `80/udp`, `8000-8002/tcp` as "80/tcp" and so on.

    Host addresses and ports before a ":" mean nothing here; they are checked and dropped.
    """
    *host, container = word.split(":")
    numbers, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not numbers:
        raise WordProblemError(f"no port specified: {word}<empty>", word=word)
    if protocol not in _PROTOCOLS:
        raise WordProblemError(
            f"invalid proto: {protocol}", word=word, hint="it is tcp, udp or sctp"
        )
    ports = _range("containerPort", numbers)
    if host and host[-1]:
        _check_host_range(_range("hostPort", host[-1]), ports, word)
    if len(host) > 1:
        _check_address(":".join(host[:-1]))
    return [f"{port}/{protocol}" for port in ports]


def _range(what: str, text: str) -> range:
    first, dash, last = text.partition("-")
    bounds = [first, last] if dash else [first, first]
    if all(bound.isascii() and bound.isdecimal() for bound in bounds):
        start, end = int(bounds[0]), int(bounds[1])
        if start <= end <= _PORT_LIMIT:
            return range(start, end + 1)
    raise WordProblemError(
        f"invalid {what}: {text}", word=text, hint="a port is a number up to 65535 or a range"
    )


def _check_host_range(host: range, container: range, word: str) -> None:
    if len(host) != len(container) and len(container) > 1:
        raise WordProblemError(
            f"invalid ranges specified for container and host Ports: {word}", word=word
        )


def _check_address(text: str) -> None:
    import ipaddress  # noqa: PLC0415 - an address in EXPOSE is a mistake already

    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise WordProblemError(f"invalid IP address: {text}", word=text) from error
