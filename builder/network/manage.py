"""Making networks: the default one, and those that users ask for."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.network import ipam
from builder.network.addresses import Address, Subnet
from builder.network.errors import AddressTakenError, NetworkExistsError, NetworkOptionError
from builder.network.links import Links
from builder.network.model import BUILT_IN, DEFAULT_NETWORK, Network, Pool
from builder.network.names import checked_network_name
from builder.network.store import NetworkStore
from cache.record import record

_MOST_MTU = 65535


@record
class NetworkRequest:
    """What `network create` asks for."""

    name: str
    subnets: tuple[Subnet, ...] = ()
    gateways: tuple[Address, ...] = ()
    ip_ranges: tuple[Subnet, ...] = ()
    ipv6: bool = False
    ipv4: bool = True
    internal: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


def default_network(store: NetworkStore, *, now: float) -> Network:
    """The network of containers that name none; made with the first of them. In `changing`."""
    network = store.named(DEFAULT_NETWORK)
    if network is not None and not _is_overrun(store, network):
        return network
    if network is not None:
        store.forget(DEFAULT_NETWORK)
    network = Network(
        name=DEFAULT_NETWORK,
        network_id=os.urandom(32).hex(),
        created=now,
        bridge=store.default_bridge,
        pools=(ipam.pool_of(ipam.free_subnet4(_taken(store))),),
    )
    store.define(network)
    return network


def _is_overrun(store: NetworkStore, network: Network) -> bool:
    """Whether this machine has come to use the subnet for something else, before the bridge was."""
    with Links() as links:
        if links.index_of(network.bridge):
            return False
        routes = links.destinations(4)
    in_use = any(not item.ended for item in store.live().endpoints if item.network == network.name)
    subnet = network.pools[0].subnet
    return not in_use and any(subnet.overlaps(route) for route in routes)


def create(store: NetworkStore, request: NetworkRequest, *, now: float) -> Network:
    """A new network. NetworkOptionError, NetworkExistsError, AddressTakenError. In `changing`."""
    checked_network_name(request.name)
    if request.name in {*BUILT_IN, "default"} or request.name.startswith("container:"):
        raise NetworkExistsError(f'the network "{request.name}" is there without being made')
    settings = _settings(request.options)
    network_id = os.urandom(32).hex()
    network = Network(
        name=request.name,
        network_id=network_id,
        created=now,
        bridge=settings.bridge or f"pb{network_id[:10]}",
        pools=_pools(request, _taken(store)),
        internal=request.internal,
        mtu=settings.mtu,
        isolated=settings.isolated,
        masquerade=settings.masquerade,
        labels=request.labels,
        options=request.options,
    )
    if any(other.bridge == network.bridge for other in store.all()):
        raise NetworkExistsError(f"another network has the bridge {network.bridge}")
    store.define(network)
    return network


@record
class _Settings:
    """What `-o` said."""

    bridge: str = ""
    mtu: int = 0
    isolated: bool = False
    masquerade: bool = True


def _settings(options: Iterable[tuple[str, str]]) -> _Settings:
    """Docker's options of bridges. NetworkOptionError for another, or another value."""
    bridge, mtu, isolated, masquerade = "", 0, False, True
    for name, value in options:
        match name:
            case "com.docker.network.bridge.name":
                bridge = _interface_name(value)
            case "com.docker.network.driver.mtu" | "mtu":
                mtu = _mtu(name, value)
            case "com.docker.network.bridge.enable_icc":
                isolated = not _truth(name, value)
            case "com.docker.network.bridge.enable_ip_masquerade":
                masquerade = _truth(name, value)
            case _:
                raise NetworkOptionError(
                    f"--opt {name[:100]!a} is not supported",
                    hint="com.docker.network.bridge.name, .bridge.enable_icc, "
                    ".bridge.enable_ip_masquerade and .driver.mtu are",
                )
    return _Settings(bridge, mtu, isolated, masquerade)


def _interface_name(value: str) -> str:
    if not 0 < len(value) < 16 or not value.replace("-", "").isalnum() or not value.isascii():
        raise NetworkOptionError(
            f"{value[:50]!a} can't be an interface's name", hint="at most 15 letters, digits and -"
        )
    return value


def _mtu(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 68 <= int(value[:9]) <= _MOST_MTU):
        raise NetworkOptionError(f"--opt {name}={value[:20]!a} is no packet size")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in {"true", "false", "1", "0"}:
        raise NetworkOptionError(f"--opt {name}={value[:20]!a} is neither true nor false")
    return value.lower() in {"true", "1"}


def _pools(request: NetworkRequest, taken: tuple[Subnet, ...]) -> tuple[Pool, ...]:
    subnets = list(request.subnets)
    versions = [subnet.version for subnet in subnets]
    if len(set(versions)) < len(versions):
        raise NetworkOptionError("one subnet of each version of IP is the most there can be")
    for subnet in subnets:
        if any(subnet.overlaps(other) for other in taken):
            raise AddressTakenError(
                f"the subnet {subnet} overlaps one that this machine uses",
                hint="ip route and pybuild network inspect show which",
            )
    if request.ipv4 and 4 not in versions:
        subnets.append(ipam.free_subnet4(taken))
    if request.ipv6 and 6 not in versions:
        subnets.append(ipam.subnet6_of(os.urandom(7)))
    if not subnets:
        raise NetworkOptionError("a network without IPv4 needs --ipv6")
    if (request.gateways or request.ip_ranges) and not request.subnets:
        raise NetworkOptionError("--gateway and --ip-range need a --subnet")
    return tuple(
        ipam.pool_of(
            subnet,
            gateway=next((item for item in request.gateways if subnet.holds(item)), None),
            ip_range=next((item for item in request.ip_ranges if item.overlaps(subnet)), None),
        )
        for subnet in sorted(_all_used(subnets, request), key=lambda subnet: subnet.version)
    )


def _all_used(subnets: list[Subnet], request: NetworkRequest) -> list[Subnet]:
    """The subnets; NetworkOptionError for a gateway or a range that is in none of them."""
    for gateway in request.gateways:
        if not any(subnet.holds(gateway) for subnet in subnets):
            raise NetworkOptionError(f"the gateway {gateway} is in no subnet of the network")
    for ip_range in request.ip_ranges:
        if not any(subnet.overlaps(ip_range) for subnet in subnets):
            raise NetworkOptionError(f"the range {ip_range} is in no subnet of the network")
    return subnets


def _taken(store: NetworkStore) -> tuple[Subnet, ...]:
    """What other networks have, and what this machine's routes lead to."""
    of_networks = [pool.subnet for network in store.all() for pool in network.pools]
    with Links() as links:
        return (*of_networks, *links.destinations(4), *links.destinations(6))
