"""A network as data, and a container's place on it."""

from __future__ import annotations

from typing import Literal

from builder.network.addresses import Address, Subnet
from cache.record import record

Protocol = Literal["tcp", "udp"]

DEFAULT_NETWORK = "bridge"
"""The network of containers that name none, where root runs them."""

BUILT_IN = ("bridge", "host", "none", "pasta")
"""Names that no other network can have."""


@record
class Pool:
    """Addresses that a network gives away."""

    subnet: Subnet
    gateway: Address  # the bridge's own
    ip_range: Subnet | None = None  # where they are taken from; None: the whole subnet


@record
class Network:
    """A bridge with addresses. Never changes."""

    name: str
    network_id: str  # 64 hex digits
    created: float  # seconds since the epoch
    bridge: str  # the interface's name
    pools: tuple[Pool, ...]  # one of IPv4, of IPv6 or one of each
    internal: bool = False  # nothing outside can be reached
    mtu: int = 0  # 0: the kernel's own
    isolated: bool = False  # its containers can't reach one another: icc=false
    masquerade: bool = True  # what goes out has this machine's address
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # as the user gave them with -o

    @property
    def has_names(self) -> bool:
        """Whether its containers find one another by name: on all but the default network."""
        return self.name != DEFAULT_NETWORK


@record
class PortMapping:
    """A port of this machine that leads to one of a container, as `-p` asks for it."""

    container_port: int
    protocol: Protocol = "tcp"
    host_address: str = ""  # "": all
    host_port: int = 0  # 0: one that is free
    host_port_last: int = 0  # not 0: any free one from host_port to this

    @property
    def container_text(self) -> str:
        """As images and `docker ps` write it: 80/tcp."""
        return f"{self.container_port}/{self.protocol}"


@record
class Membership:
    """What a container asks of one network that it is on."""

    network: str
    address4: str = ""  # "": any
    address6: str = ""
    mac: str = ""  # "": from the address
    aliases: tuple[str, ...] = ()


@record
class Endpoint:
    """A container's place on one network while it runs."""

    container_id: str
    network: str
    interface: str  # in the container: eth0
    link: str  # its other end, on this machine
    addresses: tuple[Address, ...]
    mac: str
    names: tuple[str, ...] = ()  # by which others find it
    ended: bool = False  # it waits only for the kernel to take the link away

    def address(self, version: int) -> Address | None:
        """Its address of that version of IP."""
        return next((item for item in self.addresses if item.version == version), None)


@record
class Live:
    """Who is on the networks now. Nothing of it outlives a boot."""

    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[tuple[str, PortMapping], ...] = ()  # container id; host ports are numbers

    def endpoints_of(self, container_id: str) -> tuple[Endpoint, ...]:
        """Those of a container that has not ended."""
        return tuple(
            item for item in self.endpoints if item.container_id == container_id and not item.ended
        )

    def ports_of(self, container_id: str) -> tuple[PortMapping, ...]:
        """What the container has published."""
        return tuple(port for holder, port in self.published if holder == container_id)
