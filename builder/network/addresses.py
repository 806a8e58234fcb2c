"""IP addresses and subnets as numbers. Pure, and without `ipaddress`, whose import takes 5 ms."""

from __future__ import annotations

import _socket
from typing import Literal

from builder.network.errors import NetworkOptionError
from cache.record import record

Version = Literal[4, 6]

BITS: dict[Version, int] = {4: 32, 6: 128}
FAMILIES: dict[Version, int] = {4: _socket.AF_INET, 6: _socket.AF_INET6}


@record
class Address:
    """One address; `str` gives its usual text."""

    version: Version
    value: int

    @property
    def packed(self) -> bytes:
        """As it travels."""
        return self.value.to_bytes(BITS[self.version] // 8, "big")

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for all addresses of a machine."""
        return self.value == 0

    @property
    def is_loopback(self) -> bool:
        """Whether it means the machine itself."""
        return self.value == 1 if self.version == 6 else self.value >> 24 == 127

    def __str__(self) -> str:
        return _socket.inet_ntop(FAMILIES[self.version], self.packed)


@record
class Subnet:
    """The addresses that begin with the same bits; `str` gives "172.17.0.0/16"."""

    version: Version
    first: int  # the network's own address
    prefix: int

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return int(1 << (BITS[self.version] - self.prefix))

    @property
    def last(self) -> int:
        """Of IPv4 it is the broadcast address."""
        return self.first + self.size - 1

    def overlaps(self, other: Subnet) -> bool:
        """Whether an address is in both."""
        return (
            self.version == other.version and self.first <= other.last and other.first <= self.last
        )

    def holds(self, address: Address) -> bool:
        """Whether the address is one of its."""
        return self.version == address.version and self.first <= address.value <= self.last

    def address(self, number: int) -> Address:
        """The address `number` places after the first."""
        return Address(self.version, self.first + number)

    def __str__(self) -> str:
        return f"{self.address(0)}/{self.prefix}"


def address_of(text: str) -> Address | None:
    """The address that the text is; None for other text."""
    version: Version
    for version in (4, 6):
        try:
            packed = _socket.inet_pton(FAMILIES[version], text)
        except (OSError, ValueError):  # ValueError: it has a zero byte
            continue
        return Address(version, int.from_bytes(packed, "big"))
    return None


def parse_address(text: str, *, option: str, version: Version | None = None) -> Address:
    """The address that an option gives. NetworkOptionError for other text."""
    address = address_of(text)
    if address is None or version not in {None, address.version}:
        kind = "IP" if version is None else f"IPv{version}"
        raise NetworkOptionError(f"{option} {text[:100]!a} is no {kind} address")
    return address


def parse_subnet(text: str, *, option: str) -> Subnet:
    """`ADDRESS/BITS`, with no bit set after the first BITS. NetworkOptionError for other text."""
    address_text, _, prefix_text = text.partition("/")
    address = address_of(address_text)
    if address is None or not (prefix_text.isascii() and prefix_text.isdigit()):
        raise NetworkOptionError(
            f"{option} {text[:100]!a} is no subnet", hint="it looks like 10.1.2.0/24"
        )
    prefix = int(prefix_text[:4])
    if not 0 < prefix <= BITS[address.version]:
        raise NetworkOptionError(f"{option} {text[:100]!a}: there are no {prefix_text[:10]} bits")
    size = 1 << (BITS[address.version] - prefix)
    first = address.value // size * size
    if first != address.value:
        raise NetworkOptionError(
            f"{option} {text[:100]!a} names an address in a subnet",
            hint=f"the subnet is {Subnet(address.version, first, prefix)}",
        )
    return Subnet(address.version, first, prefix)
