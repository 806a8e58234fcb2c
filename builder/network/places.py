"""Who gets which place on a network, and what of the firewall follows from it.

Pure but for the names of links, which are random.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from builder.network import ipam, rules
from builder.network.addresses import Address, Version, address_of
from builder.network.errors import NetworkOptionError
from builder.network.model import Endpoint, Live, Membership, Network, Pool, PortMapping
from cache.record import record, replace


@record
class Wanted:
    """What a container asks of bridges."""

    container_id: str
    memberships: tuple[Membership, ...]
    names: tuple[str, ...]  # by which others find it on networks that have names
    ports: tuple[PortMapping, ...] = ()


def endpoint_of(
    wanted: Wanted, member: Membership, network: Network, number: int, others: Sequence[Endpoint]
) -> Endpoint:
    """The container's place on one network, with addresses that no other has."""
    on_network = [item for item in others if item.network == network.name]
    taken = [address for item in on_network for address in item.addresses]
    _check_versions(member, network)
    addresses = tuple(_address(pool, member, taken) for pool in network.pools)
    names = dict.fromkeys((*wanted.names, *member.aliases)) if network.has_names else ()
    return Endpoint(
        container_id=wanted.container_id,
        network=network.name,
        interface=f"eth{number}",
        link=f"pbv{os.urandom(5).hex()}",
        addresses=addresses,
        mac=member.mac or ipam.mac_of(addresses[0]),
        names=tuple(names),
    )


def _address(pool: Pool, member: Membership, taken: Iterable[Address]) -> Address:
    asked = address_of(member.address4 if pool.subnet.version == 4 else member.address6)
    if asked is None:
        return ipam.free_address(pool, taken)
    return ipam.checked_address(pool, asked, taken)


def _check_versions(member: Membership, network: Network) -> None:
    versions = versions_of((network,))
    for asked, version in ((member.address4, 4), (member.address6, 6)):
        if asked and version not in versions:
            raise NetworkOptionError(f"the network {network.name} has no IPv{version} addresses")


def versions_of(networks: Iterable[Network]) -> tuple[Version, ...]:
    """The versions of IP that containers on these networks have."""
    found: set[Version] = {pool.subnet.version for network in networks for pool in network.pools}
    return tuple(sorted(found))


def pool_of_version(network: Network, version: Version) -> Pool:
    """The network's pool of that version, which it has."""
    return next(pool for pool in network.pools if pool.subnet.version == version)


def without(live: Live, container_id: str, network: str = "") -> Live:
    """After the end of a container, or after it has left one network.

    Its ports go; its addresses stay taken until its links are gone.
    """
    endpoints = tuple(
        replace(item, ended=True)
        if item.container_id == container_id and network in {"", item.network}
        else item
        for item in live.endpoints
    )
    if any(item.container_id == container_id and not item.ended for item in endpoints):
        return replace(live, endpoints=endpoints)
    return Live(
        endpoints=endpoints,
        published=tuple(pair for pair in live.published if pair[0] != container_id),
    )


def rules_of(live: Live, container_id: str = "") -> tuple[rules.Forward, ...]:
    """What leads to the published ports, of one container or of all.

    A port leads to the container's first address of each version of IP.
    """
    found: list[rules.Forward] = []
    for holder, port in live.published:
        if container_id in {"", holder}:
            targets: dict[Version, Address] = {}
            for endpoint in live.endpoints_of(holder):
                for address in endpoint.addresses:
                    targets.setdefault(address.version, address)
            found += rules.forwards(port, targets.values())
    return tuple(found)
