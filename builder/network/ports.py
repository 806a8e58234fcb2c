"""Text of `-p` and `--expose` to ports, and ports to the text that `ps` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from builder.network.addresses import address_of
from builder.network.errors import NetworkOptionError
from builder.network.model import PortMapping, Protocol

_HINT = "[[IP:]HOST_PORT:]CONTAINER_PORT[/tcp|udp], such as 8080:80"
_Range = tuple[int, int]


def parse_publish(text: str) -> tuple[PortMapping, ...]:
    """The ports that one `-p` publishes, in order. NetworkOptionError for what is none."""
    option = f"--publish {text[:100]!a}"
    ports, protocol = _split_protocol(text, option)
    rest, _, container_text = ports.rpartition(":")
    host_address, host_text = _split_host(rest, option)
    container = _range(container_text, option)
    if not host_text:
        return tuple(
            PortMapping(port, protocol, host_address)
            for port in range(container[0], container[1] + 1)
        )
    first, last = _range(host_text, option)
    count = container[1] - container[0] + 1
    if count == 1 and last > first:
        return (PortMapping(container[0], protocol, host_address, first, last),)
    if last - first + 1 != count:
        raise NetworkOptionError(f"{option}: the two ranges have different lengths", hint=_HINT)
    return tuple(
        PortMapping(container[0] + number, protocol, host_address, first + number)
        for number in range(count)
    )


def parse_expose(text: str, *, option: str = "--expose") -> tuple[PortMapping, ...]:
    """`PORT[-PORT][/tcp|udp]`: ports that `-P` publishes."""
    shown = f"{option} {text[:100]!a}"
    ports, protocol = _split_protocol(text, shown)
    first, last = _range(ports, shown)
    return tuple(PortMapping(port, protocol) for port in range(first, last + 1))


def _split_protocol(text: str, option: str) -> tuple[str, Protocol]:
    ports, separator, protocol = text.partition("/")
    match protocol.lower() if separator else "tcp":
        case "tcp":
            return ports, "tcp"
        case "udp":
            return ports, "udp"
        case "sctp":
            raise NetworkOptionError(f"{option}: SCTP is not supported", hint="tcp and udp are")
        case _:
            raise NetworkOptionError(f"{option}: {protocol[:20]!a} is no protocol", hint=_HINT)


def _split_host(text: str, option: str) -> tuple[str, str]:
    """What stands before the container's port: address ("" for all) and port."""
    host_address, _, host_port = text.rpartition(":")
    if host_port.endswith("]"):
        raise NetworkOptionError(f"{option}: after the address a port is missing", hint=_HINT)
    if not host_address:
        return "", host_port
    bare = host_address
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    address = address_of(bare)
    if address is None or (address.version == 6 and bare == host_address):
        raise NetworkOptionError(
            f"{option}: {host_address[:60]!a} is no IP address",
            hint="an IPv6 address stands in brackets: [::1]:8080:80",
        )
    return str(address), host_port


def _range(text: str, option: str) -> _Range:
    first_text, separator, last_text = text.partition("-")
    first = _port(first_text, option)
    last = _port(last_text, option) if separator else first
    if last < first:
        raise NetworkOptionError(f"{option}: the range {text[:30]} ends before it begins")
    return first, last


def _port(text: str, option: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise NetworkOptionError(f"{option}: {text[:30]!a} is no port", hint=_HINT)
    return int(text)


def checked_distinct(ports: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
    """The ports without repetitions. NetworkOptionError where one of the host leads to two."""
    by_host: dict[tuple[str, str, int], PortMapping] = {}
    kept: dict[PortMapping, None] = {}
    for port in ports:
        if port.host_port and not port.host_port_last:
            place = (port.protocol, port.host_address, port.host_port)
            other = by_host.setdefault(place, port)
            if other != port:
                raise NetworkOptionError(
                    f"the port {port.host_port}/{port.protocol} of this machine is published twice"
                )
        kept[port] = None
    return tuple(kept)


def host_addresses(port: PortMapping, *, versions: Iterable[int]) -> tuple[str, ...]:
    """The addresses of this machine where a port can be reached, where `versions` of IP work."""
    if port.host_address:
        return (port.host_address,)
    return tuple({4: "0.0.0.0", 6: "::"}[version] for version in sorted(versions))  # noqa: S104 - shown


def ports_text(
    published: Iterable[PortMapping], exposed: Iterable[str] = (), *, versions: Iterable[int] = (4,)
) -> str:
    """The PORTS column: `0.0.0.0:8080->80/tcp, 443/tcp`, neighbours as one range."""
    shown: list[str] = []
    published = sorted(published, key=_order)
    for group in _runs(published):
        first, last = group[0], group[-1]
        inside = _span(first.container_port, last.container_port)
        outside = _span(first.host_port, last.host_port)
        for address in host_addresses(first, versions=versions):
            place = f"[{address}]" if ":" in address else address
            shown.append(f"{place}:{outside}->{inside}/{first.protocol}")
    taken = {port.container_text for port in published}
    return ", ".join(shown + [text for text in exposed if text not in taken])


def _order(port: PortMapping) -> tuple[str, str, int, int]:
    return port.protocol, port.host_address, port.container_port, port.host_port


def _runs(ports: Iterable[PortMapping]) -> list[list[PortMapping]]:
    """Ports that follow one another on both sides, together."""
    runs: list[list[PortMapping]] = []
    for port in ports:
        before = runs[-1][-1] if runs else None
        if before is not None and _follows(before, port):
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs


def _follows(before: PortMapping, port: PortMapping) -> bool:
    return (
        (before.protocol, before.host_address) == (port.protocol, port.host_address)
        and port.container_port == before.container_port + 1
        and port.host_port == before.host_port + 1
    )


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
