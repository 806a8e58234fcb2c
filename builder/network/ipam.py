"""Which subnet a network gets and which address a container. Pure: what is taken comes in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from builder.network.addresses import Address, Subnet
from builder.network.errors import AddressTakenError, NetworkOptionError
from builder.network.model import Pool

_PRIVATE_172 = 172 << 24
_PRIVATE_192 = (192 << 24) | (168 << 16)
_UNIQUE_LOCAL = 0xFD << 120  # RFC 4193


def free_subnet4(taken: Collection[Subnet]) -> Subnet:
    """The first of Docker's default pools that overlaps nothing: 172.17.0.0/16 and on."""
    for candidate in _candidates4():
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise AddressTakenError(
        "no private IPv4 subnet is free", hint="give one with --subnet, or remove a network"
    )


def _candidates4() -> Iterator[Subnet]:
    for second in range(17, 32):
        yield Subnet(4, _PRIVATE_172 | second << 16, 16)
    for third in range(0, 256, 16):
        yield Subnet(4, _PRIVATE_192 | third << 8, 20)


def subnet6_of(random: bytes) -> Subnet:
    """A /64 of unique local addresses, made of 7 random bytes. Spec: RFC 4193."""
    return Subnet(6, _UNIQUE_LOCAL | int.from_bytes(random[:7], "big") << 64, 64)


def pool_of(
    subnet: Subnet, *, gateway: Address | None = None, ip_range: Subnet | None = None
) -> Pool:
    """The pool with the first address as gateway where none is given. NetworkOptionError."""
    if subnet.size < 4:
        raise NetworkOptionError(f"the subnet {subnet} is too small", hint="/30 is the smallest")
    if gateway is not None and not subnet.holds(gateway):
        raise NetworkOptionError(f"the gateway {gateway} is not in the subnet {subnet}")
    if ip_range is not None and not (
        ip_range.overlaps(subnet) and ip_range.prefix >= subnet.prefix
    ):
        raise NetworkOptionError(f"the range {ip_range} is not in the subnet {subnet}")
    chosen = gateway or subnet.address(1)
    if chosen.value in {subnet.first, _end(subnet)}:
        raise NetworkOptionError(f"no interface can have the address {chosen} of {subnet}")
    return Pool(subnet, chosen, ip_range)


def free_address(pool: Pool, taken: Iterable[Address]) -> Address:
    """The lowest address that nobody has. AddressTakenError where there is none."""
    used = {item.value for item in taken if item.version == pool.subnet.version}
    used.add(pool.gateway.value)
    source = pool.ip_range or pool.subnet
    for value in range(max(source.first, pool.subnet.first + 1), source.last + 1):
        if value == _end(pool.subnet):
            break
        if value not in used:
            return Address(pool.subnet.version, value)
    raise AddressTakenError(
        f"all addresses of {source} are taken", hint="remove a container that is on this network"
    )


def checked_address(pool: Pool, address: Address, taken: Iterable[Address]) -> Address:
    """The address that a container asks for. AddressTakenError, NetworkOptionError."""
    subnet = pool.subnet
    if not subnet.holds(address) or address.value in {subnet.first, _end(subnet)}:
        raise NetworkOptionError(f"the address {address} is none of the network's: {subnet}")
    if address == pool.gateway or address in set(taken):
        raise AddressTakenError(f"the address {address} is in use")
    return address


def _end(subnet: Subnet) -> int:
    """The broadcast address, which IPv6 doesn't have."""
    return subnet.last if subnet.version == 4 else -1


def mac_of(address: Address) -> str:
    """A locally administered MAC that belongs to the address: one reused keeps its neighbours'."""
    tail = address.packed[-4:]
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + tail)
