"""The firewall's table as text for nft(8). Pure.

One table holds everything of one store. Its chains follow from the networks alone, and a chain
whose name is a digest of them says which version the kernel has; published ports are elements of
maps, so that a container's start and end change those and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from builder.network.addresses import Address, address_of
from builder.network.model import Network, PortMapping, Protocol
from cache.record import record

FIRST_CHAIN = "publish"
"""A chain that every table has."""

_MAPS = """\
  map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  map at4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map at6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
"""

# What comes from outside for a loopback address is never ours to pass on: a neighbour on the wire
# could reach a port that was published on 127.0.0.1 alone.
_PUBLISH = """\
  chain publish {
    dnat ip to ip daddr . meta l4proto . th dport map @at4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
    fib daddr type local dnat ip to meta l4proto . th dport map @any4
    fib daddr type local dnat ip6 to meta l4proto . th dport map @any6
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 return
    iifname != "lo" ip6 daddr ::1 return
    jump publish
  }
  chain output { type nat hook output priority -100; policy accept; jump publish; }
"""


@record
class Forward:
    """A published port and where it leads."""

    protocol: Protocol
    host_address: str  # "": all of this machine
    host_port: int
    target: Address
    target_port: int


def forwards(port: PortMapping, targets: Iterable[Address]) -> tuple[Forward, ...]:
    """What a published port needs: one for each address of the container that it can lead to."""
    asked = address_of(port.host_address) if port.host_address else None
    return tuple(
        Forward(
            port.protocol,
            "" if asked is None or asked.is_unspecified else str(asked),
            port.host_port,
            target,
            port.container_port,
        )
        for target in targets
        if asked is None or asked.version == target.version
    )


def table_text(table: str, networks: Iterable[Network], ports: Iterable[Forward]) -> str:
    """A transaction that puts the whole table in place, whatever was there before."""
    chains = _chains(tuple(networks))
    return (
        f"table inet {table} {{}}\ndelete table inet {table}\ntable inet {table} {{\n"
        f"{_MAPS}{chains}  chain {_digest_name(chains)} {{}}\n}}\n{added_text(table, ports)}"
    )


def no_table_text(table: str) -> str:
    """A transaction that takes the table away."""
    return f"delete table inet {table}\n"


def state_chain(networks: Iterable[Network]) -> str:
    """The name of the chain that a table for these networks has, and no other table."""
    return _digest_name(_chains(tuple(networks)))


def _digest_name(chains: str) -> str:
    return f"state-{sha256((_MAPS + chains).encode()).hexdigest()[:16]}"


def added_text(table: str, ports: Iterable[Forward]) -> str:
    """Commands that publish ports."""
    lines = (f"{_key(port)} : {port.target} . {port.target_port}" for port in ports)
    return "".join(
        f"add element inet {table} {_map_of(port)} {{ {line} }}\n"
        for port, line in zip(ports, lines, strict=True)
    )


def removed_text(table: str, ports: Iterable[Forward]) -> str:
    """Commands that take them back."""
    return "".join(
        f"delete element inet {table} {_map_of(port)} {{ {_key(port)} }}\n" for port in ports
    )


def _map_of(port: Forward) -> str:
    return f"{'at' if port.host_address else 'any'}{port.target.version}"


def _key(port: Forward) -> str:
    place = f"{port.host_address} . " if port.host_address else ""
    return f"{place}{port.protocol} . {port.host_port}"


def _chains(networks: tuple[Network, ...]) -> str:
    """All chains; the same text for the same networks, in whatever order they come."""
    networks = tuple(sorted(networks, key=lambda network: network.bridge))
    return f"{_PUBLISH}{_loopback(networks)}{_forward(networks)}{_postrouting(networks)}"


def _loopback(networks: tuple[Network, ...]) -> str:
    """Containers don't reach this machine's loopback addresses, for all of route_localnet."""
    rules = [f'iifname "{network.bridge}" ip daddr 127.0.0.0/8 drop' for network in networks]
    return _chain("guard", "filter hook prerouting priority -300", rules)


def _forward(networks: tuple[Network, ...]) -> str:
    """To a bridge go answers, published ports and its own containers; nothing else does."""
    rules: list[str] = []
    for network in networks:
        name = f'"{network.bridge}"'
        rules.append(f"oifname {name} ct state established,related accept")
        if network.internal:
            rules.append(f"oifname {name} iifname != {name} drop")
            rules.append(f"iifname {name} oifname != {name} drop")
        verdict = "drop" if network.isolated else "accept"
        rules.append(f"iifname {name} oifname {name} ct status dnat accept")
        rules.append(f"iifname {name} oifname {name} {verdict}")
        rules.append(f"oifname {name} ct status dnat accept")
        rules.append(f"oifname {name} drop")
    rules += [f'iifname "{network.bridge}" accept' for network in networks]
    return _chain("forward", "filter hook forward priority 0", rules)


def _postrouting(networks: tuple[Network, ...]) -> str:
    """What leaves gets an address to which answers find the way."""
    rules: list[str] = []
    for network in networks:
        name = f'"{network.bridge}"'
        rules.append(f"oifname {name} ip saddr 127.0.0.0/8 masquerade")
        for pool in network.pools:
            subnet, family = pool.subnet, "ip" if pool.subnet.version == 4 else "ip6"
            # by a published port to a neighbour: its answer must not go past this machine
            rules.append(f"oifname {name} {family} saddr {subnet} ct status dnat masquerade")
            if network.masquerade and not network.internal:
                rules.append(f"oifname != {name} {family} saddr {subnet} masquerade")
    return _chain("postrouting", "nat hook postrouting priority 100", rules)


def _chain(name: str, kind: str, rules: Iterable[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {name} {{\n    type {kind}; policy accept;\n{lines}  }}\n"
