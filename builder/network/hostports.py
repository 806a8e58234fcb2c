"""Taking ports of this machine for published ones."""

from __future__ import annotations

import _socket
import errno
from collections.abc import Collection, Iterable
from contextlib import ExitStack

from builder.network.addresses import FAMILIES, Address, Version, address_of
from builder.network.errors import NetworkOptionError, PortTakenError
from builder.network.model import PortMapping, Protocol
from cache.record import replace

_TRIES = 64
_KINDS: dict[Protocol, int] = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM}

Taken = Collection[tuple[Protocol, int, str]]
"""Protocol, port and address ("" for all) of what other containers have published."""


def taken_by(ports: Iterable[PortMapping]) -> Taken:
    """What these take, which are published."""
    return [(port.protocol, port.host_port, port.host_address) for port in ports]


class Ports:
    """Ports that are held by sockets: nobody else gets them, and nothing ever arrives there.

    A socket that is bound and doesn't listen leaves what arrives to the firewall's redirection, and
    refuses where that is missing.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.fds: list[int] = []

    def take(self, port: PortMapping, *, versions: Iterable[Version], taken: Taken) -> PortMapping:
        """The port with its number on this machine. PortTakenError where something has it."""
        addresses = _addresses(port, tuple(versions))
        if port.host_port and not port.host_port_last:
            self._hold(port, port.host_port, addresses, taken)
            return port
        candidates: Iterable[int] = range(port.host_port, port.host_port_last + 1)
        if not port.host_port:
            candidates = (0,) * _TRIES
        for candidate in candidates:
            try:
                number = self._hold(port, candidate, addresses, taken)
            except PortTakenError:
                continue
            return replace(port, host_port=number, host_port_last=0)
        where = f"from {port.host_port} to {port.host_port_last}" if port.host_port else "at all"
        raise PortTakenError(f"no {port.protocol} port is free {where}")

    def _hold(
        self, port: PortMapping, number: int, addresses: tuple[Address, ...], taken: Taken
    ) -> int:
        """Bind the port at each address; its number, which is chosen where it was 0."""
        fds: list[int] = []
        with ExitStack() as failing:
            _check_free(port, number, taken)
            for address in addresses:
                channel = _bound(port.protocol, address, number)
                failing.callback(channel.close)
                number = channel.getsockname()[1]
                fds.append(channel.fileno())
            _check_free(port, number, taken)
            self._stack.enter_context(failing.pop_all())
        self.fds += fds
        return number


def _check_free(port: PortMapping, number: int, taken: Taken) -> None:
    if _is_taken(port, number, taken):
        raise PortTakenError(
            f"the port {number}/{port.protocol} is published by another container",
            hint="pybuild ps shows which; choose another port, or remove that container",
        )


def _is_taken(port: PortMapping, number: int, taken: Taken) -> bool:
    same = {
        address
        for protocol, other, address in taken
        if (protocol, other) == (port.protocol, number)
    }
    return bool(same) and (port.host_address in {"", *same} or "" in same)


def _addresses(port: PortMapping, versions: tuple[Version, ...]) -> tuple[Address, ...]:
    if not port.host_address:
        return tuple(Address(version, 0) for version in versions)
    address = address_of(port.host_address)
    if address is None or address.version not in versions:
        raise NetworkOptionError(
            f"the container has no address of the kind of {port.host_address}",
            hint="a network with IPv6: pybuild network create --ipv6 NAME",
        )
    return (address,)


def _bound(protocol: Protocol, address: Address, number: int) -> _socket.socket:
    channel = _socket.socket(FAMILIES[address.version], _KINDS[protocol] | _socket.SOCK_CLOEXEC)
    try:
        if address.version == 6:
            channel.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":  # past connections don't hold the port
            channel.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        channel.bind((str(address), number))
    except OSError as error:
        channel.close()
        raise _refusal(protocol, address, number, error) from error
    return channel


def _refusal(protocol: Protocol, address: Address, number: int, error: OSError) -> Exception:
    place = f"the port {number}/{protocol} of {address}"
    match error.errno:
        case errno.EADDRINUSE:
            return PortTakenError(
                f"{place} is in use by another program", hint="choose another port"
            )
        case errno.EADDRNOTAVAIL:
            return NetworkOptionError(f"{address} is no address of this machine")
        case errno.EACCES:
            return NetworkOptionError(
                f"{place} may not be used: ports below "
                "/proc/sys/net/ipv4/ip_unprivileged_port_start are root's",
                hint="choose one from 1024",
            )
        case _:
            return NetworkOptionError(f"{place} can't be used: {error.strerror}")
