"""Containers on bridges: their addresses and ports are reserved, then their namespaces connected.

What is reserved is written down before anything is done to the kernel, so that whoever finds the
container dead knows what to take back; and all that is done is done again where it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.network import ipam, nft, rtnetlink, rules
from builder.network.addresses import Version
from builder.network.errors import NetworkUnavailableError
from builder.network.hostports import Ports, taken_by
from builder.network.links import Links, inside, interfaces_accepting_routers, sysctl
from builder.network.model import Endpoint, Membership, Network
from builder.network.places import (
    Wanted,
    endpoint_of,
    pool_of_version,
    rules_of,
    versions_of,
    without,
)
from builder.network.store import NetworkStore
from cache.record import replace

_LOOPBACK = 1  # the first interface of every namespace


class Bridges:
    """The bridges of one store, in this process's network namespace."""

    def __init__(self, store: NetworkStore) -> None:
        self._store = store

    def reserve(
        self,
        wanted: Wanted,
        networks: tuple[Network, ...],
        ports: Ports,
    ) -> tuple[Endpoint, ...]:
        """Give the container addresses and ports; its places.

        `networks` are those of its memberships, in their order. In `changing`.
        """
        self.leave(wanted.container_id)  # what an earlier run of it left, if that was killed
        with Links() as links:
            endpoints = self._swept(self._store.live().endpoints, links)
            for number, (member, network) in enumerate(
                zip(wanted.memberships, networks, strict=True)
            ):
                self._make_bridge(network, links)
                _free_address(member, endpoints, links)
                endpoints.append(endpoint_of(wanted, member, network, number, endpoints))
        live = self._store.live()
        versions = versions_of(networks)
        taken = taken_by(port for _, port in live.published)
        published = [ports.take(port, versions=versions, taken=taken) for port in wanted.ports]
        mine = tuple((wanted.container_id, port) for port in published)
        live = replace(live, endpoints=tuple(endpoints), published=(*live.published, *mine))
        self._store.write_live(live, renamed=(network.name for network in networks))
        self._write_rules(rules_of(live, wanted.container_id))
        return live.endpoints_of(wanted.container_id)

    def add(self, wanted: Wanted, network: Network) -> Endpoint:
        """Give a container that runs a place on one more network. In `changing`."""
        (member,) = wanted.memberships
        with Links() as links:
            live = self._store.live()
            endpoints = self._swept(live.endpoints, links)
            self._make_bridge(network, links)
            _free_address(member, endpoints, links)
            number = _next_number(live.endpoints_of(wanted.container_id))
            endpoint = endpoint_of(wanted, member, network, number, endpoints)
        before = rules_of(live, wanted.container_id)
        live = replace(live, endpoints=(*endpoints, endpoint))
        self._store.write_live(live, renamed=[network.name])
        after = rules_of(live, wanted.container_id)
        self._write_rules(tuple(item for item in after if item not in before))
        return endpoint

    def remove_link(self, endpoint: Endpoint) -> None:
        """Take the link of a running container away."""
        with Links() as links:
            links.delete(endpoint.link)

    def join(
        self, endpoints: Iterable[Endpoint], namespace_fd: int, *, routed: bool = False
    ) -> None:
        """Make the links of endpoints whose addresses are reserved, up to their routes.

        `routed`: there is a default route already.
        """
        done: set[Version] = {4, 6} if routed else set()
        for endpoint in endpoints:
            network = self._store.find(endpoint.network)
            with Links() as links:
                links.change(
                    rtnetlink.veth(
                        endpoint.link,
                        master=links.index_of(network.bridge),
                        peer=endpoint.interface,
                        peer_mac=endpoint.mac,
                        namespace_fd=namespace_fd,
                        mtu=network.mtu,
                    )
                )
            with inside(namespace_fd), Links() as links:
                _configure(links, endpoint, network, done)

    def leave(self, container_id: str, *, network: str = "") -> None:
        """Take back all that the container has, or what it has on one network. In `changing`.

        Its links go with its namespace a moment later; until then nobody gets their addresses.
        """
        live = self._store.live()
        before = rules_of(live, container_id)
        after_live = without(live, container_id, network)
        if after_live == live:
            return
        left = {item.network for item in live.endpoints if item.container_id == container_id}
        after = rules_of(after_live, container_id)
        self._store.write_live(after_live, renamed=left)
        gone = tuple(item for item in before if item not in after)
        if gone:
            self._remove_rules(gone)

    def remove_bridge(self, network: Network) -> None:
        """Take a network's interface away. In `changing`."""
        with Links() as links:
            links.delete(network.bridge)

    def take_down_idle(self) -> None:
        """Take away what is idle: interfaces and, with the last, the table. In `changing`.

        The networks stay defined, and get theirs back with their next container.
        """
        busy = {item.network for item in self._store.live().endpoints if not item.ended}
        with Links() as links:
            for network in self._store.all():
                if network.name not in busy:
                    links.delete(network.bridge)
        if not busy and nft.has_chain(self._store.table, rules.FIRST_CHAIN):
            nft.apply(rules.no_table_text(self._store.table))

    def renew_rules(self) -> None:
        """Make the firewall's table again where there is one. In `changing`."""
        if self._store.live().endpoints or nft.has_chain(self._store.table, rules.FIRST_CHAIN):
            self.write_all_rules()

    def write_all_rules(self) -> None:
        """Put the firewall's table in place for the networks as they are. In `changing`."""
        live = self._store.live()
        nft.apply(rules.table_text(self._store.table, self._store.all(), rules_of(live)))

    def _write_rules(self, added: tuple[rules.Forward, ...]) -> None:
        chain = rules.state_chain(self._store.all())
        if not nft.has_chain(self._store.table, chain):
            self.write_all_rules()
        elif added:
            try:
                nft.apply(rules.added_text(self._store.table, added))
            except NetworkUnavailableError:  # an element that should not be there
                self.write_all_rules()

    def _remove_rules(self, gone: tuple[rules.Forward, ...]) -> None:
        if not nft.has_chain(self._store.table, rules.FIRST_CHAIN):
            return  # someone has taken the whole table away; the next start makes it
        try:
            nft.apply(rules.removed_text(self._store.table, gone))
        except NetworkUnavailableError:  # an element was missing
            self.write_all_rules()

    def _swept(self, endpoints: Iterable[Endpoint], links: Links) -> list[Endpoint]:
        """Without those of ended containers whose links the kernel has taken away."""
        return [item for item in endpoints if not item.ended or links.index_of(item.link)]

    def _make_bridge(self, network: Network, links: Links) -> None:
        """Make the interface where there is none: at first, and after a boot."""
        if links.index_of(network.bridge):
            return
        gateway = network.pools[0].gateway
        try:
            links.change(
                rtnetlink.bridge(network.bridge, mac=ipam.mac_of(gateway), mtu=network.mtu)
            )
            index = links.index_of(network.bridge)
            versions = versions_of((network,))
            _set_bridge(network.bridge, versions)
            links.change(
                *(
                    rtnetlink.added_address(index, pool.gateway, pool.subnet.prefix)
                    for pool in network.pools
                )
            )
        except OSError as error:
            links.delete(network.bridge)
            raise NetworkUnavailableError(
                f"the bridge {network.bridge} of the network {network.name} cannot be made: "
                f"{error.strerror}",
                hint="it takes root, and a kernel with bridges; --network host works without",
            ) from error
        _forward(versions)


def _set_bridge(name: str, versions: tuple[Version, ...]) -> None:
    sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")  # ports published on 127.0.0.1
    if 6 in versions:
        sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")
    else:
        sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")


def _forward(versions: tuple[Version, ...]) -> None:
    """Let this machine pass packets on."""
    done = sysctl("net/ipv4/ip_forward", "1")
    if 6 in versions:
        # a router doesn't listen to routers: interfaces that got their own routes so keep doing it
        for name in tuple(interfaces_accepting_routers()):
            sysctl(f"net/ipv6/conf/{name}/accept_ra", "2")
        done &= sysctl("net/ipv6/conf/all/forwarding", "1")
    if not done:
        raise NetworkUnavailableError(
            "this machine may not be made to pass packets on",
            hint="set /proc/sys/net/ipv4/ip_forward to 1, or use --network host",
        )


def _configure(links: Links, endpoint: Endpoint, network: Network, routed: set[Version]) -> None:
    """In the container's namespace: addresses, and a route by the first network that has one."""
    index = links.index_of(endpoint.interface)
    versions: set[Version] = {address.version for address in endpoint.addresses}
    if 6 not in versions:
        sysctl(f"net/ipv6/conf/{endpoint.interface}/disable_ipv6", "1")
    messages = [rtnetlink.link_up(_LOOPBACK)]
    for address in endpoint.addresses:
        prefix = pool_of_version(network, address.version).subnet.prefix
        messages.append(rtnetlink.added_address(index, address, prefix))
    messages.append(rtnetlink.link_up(index))
    for version in sorted(versions - routed):
        if not network.internal:
            messages.append(
                rtnetlink.default_route(index, pool_of_version(network, version).gateway)
            )
            routed.add(version)
    links.change(*messages)


def _next_number(endpoints: Iterable[Endpoint]) -> int:
    taken = {endpoint.interface for endpoint in endpoints}
    return next(number for number in range(len(taken) + 1) if f"eth{number}" not in taken)


def _free_address(member: Membership, endpoints: list[Endpoint], links: Links) -> None:
    """Where the address that is asked for waits for an ended container's link to go: hurry that."""
    asked = {member.address4, member.address6}
    for endpoint in tuple(endpoints):
        if endpoint.ended and asked.intersection(map(str, endpoint.addresses)):
            links.delete(endpoint.link)
            endpoints.remove(endpoint)
