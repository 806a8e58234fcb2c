"""What `ps`, `port` and `inspect` show of a container's network. Pure. Shapes: Docker's."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from builder.network.addresses import Version
from builder.network.model import Endpoint, Live, Membership, Network, PortMapping
from builder.network.places import pool_of_version
from builder.network.ports import host_addresses, ports_text
from builder.runtime.container import Container
from builder.runtime.exposed import exposed_ports

_Document = dict[str, object]


def ports_shown(container: Container, live: Live, *, running: bool) -> str:
    """The PORTS column: of a container that runs, what is published, then what is exposed."""
    if not running:
        return ""
    own = container.container_id
    return ports_text(live.ports_of(own), exposed_ports(container), versions=_versions(live, own))


def places_of(container_id: str, live: Live) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """("80/tcp", ("0.0.0.0:8080", "[::]:8080")) of each published port."""
    found: dict[str, tuple[str, ...]] = {}
    versions = _versions(live, container_id)
    for port in sorted(live.ports_of(container_id), key=lambda item: item.container_port):
        places = tuple(
            f"[{address}]:{port.host_port}" if ":" in address else f"{address}:{port.host_port}"
            for address in host_addresses(port, versions=versions)
        )
        found[port.container_text] = (*found.get(port.container_text, ()), *places)
    return tuple(found.items())


def _versions(live: Live, container_id: str) -> tuple[int, ...]:
    """Of what a port on all addresses leads from; pasta's lead from both."""
    endpoints = live.endpoints_of(container_id)
    if not endpoints:
        return (4, 6)
    return tuple(sorted({item.version for place in endpoints for item in place.addresses}))


def network_settings(
    container: Container, live: Live, network_of: Callable[[str], Network | None], *, pid: int
) -> _Document:
    """NetworkSettings of `inspect`. `pid`: of the first process; 0 for none."""
    own = container.container_id
    places = {item.network: item for item in live.endpoints_of(own)} if pid else {}
    members = {item.network: item for item in container.host.networking.memberships}
    networks = {
        name: _network(members.get(name), network_of(name), places.get(name))
        for name in dict.fromkeys((*members, *places))
    }
    if not networks and not container.host.networking.shared_with:
        networks = {container.network_mode: _network(None, None, None)}
    first: _Document = networks.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": sha256(f"{own}{pid}".encode()).hexdigest() if pid else "",
        "SandboxKey": f"/proc/{pid}/ns/net" if pid else "",
        "Ports": _ports(container, live) if pid else {},
        **{
            name: first.get(name, empty)
            for name, empty in (
                ("EndpointID", ""),
                ("Gateway", ""),
                ("GlobalIPv6Address", ""),
                ("GlobalIPv6PrefixLen", 0),
                ("IPAddress", ""),
                ("IPPrefixLen", 0),
                ("IPv6Gateway", ""),
                ("MacAddress", ""),
            )
        },
        "Networks": networks,
    }


def _ports(container: Container, live: Live) -> _Document:
    own = container.container_id
    versions = _versions(live, own)
    bound: dict[str, list[_Document]] = {}
    for port in live.ports_of(own):
        bound.setdefault(port.container_text, []).extend(_bindings(port, versions))
    return {text: bound.get(text) for text in (*exposed_ports(container), *bound)}


def _bindings(port: PortMapping, versions: tuple[int, ...]) -> list[_Document]:
    return [
        {"HostIp": address, "HostPort": str(port.host_port)}
        for address in host_addresses(port, versions=versions)
    ]


def port_bindings(container: Container) -> _Document:
    """HostConfig.PortBindings: what was asked for."""
    shown: dict[str, list[_Document]] = {}
    for port in container.host.networking.publish:
        host_port = str(port.host_port) if port.host_port else ""
        if port.host_port_last:
            host_port = f"{port.host_port}-{port.host_port_last}"
        binding: _Document = {"HostIp": port.host_address, "HostPort": host_port}
        shown.setdefault(port.container_text, []).append(binding)
    return dict(shown)


def _network(
    member: Membership | None, network: Network | None, place: Endpoint | None
) -> _Document:
    asked: _Document = {}
    if member is not None and member.address4:
        asked["IPv4Address"] = member.address4
    if member is not None and member.address6:
        asked["IPv6Address"] = member.address6
    return {
        "IPAMConfig": asked or None,
        "Links": None,
        "Aliases": list(member.aliases) if member and member.aliases else None,
        "MacAddress": place.mac if place else "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": network.network_id if network else "",
        "EndpointID": endpoint_id(place) if place else "",
        **_addresses(network, place),
        "DNSNames": list(place.names) if place and place.names else None,
    }


def endpoint_id(place: Endpoint) -> str:
    """64 digits that name a container's place on a network."""
    return sha256(f"{place.container_id}{place.network}{place.link}".encode()).hexdigest()


def _addresses(network: Network | None, place: Endpoint | None) -> _Document:
    shown: _Document = {}
    for version, gateway, address, prefix in (
        (4, "Gateway", "IPAddress", "IPPrefixLen"),
        (6, "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
    ):
        found = place.address(version) if place else None
        shown[address] = str(found) if found else ""
        pool = pool_of_version(network, _version(version)) if network and found else None
        shown[prefix] = pool.subnet.prefix if pool else 0
        shown[gateway] = str(pool.gateway) if pool and network and not network.internal else ""
    return shown


def _version(number: int) -> Version:
    return 4 if number == 4 else 6
