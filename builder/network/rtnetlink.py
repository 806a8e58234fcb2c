"""Messages to the kernel about links, addresses and routes. Pure. Spec: rtnetlink(7).

`ip -batch` twice, once on each side of a veth pair, takes 12 ms here; these messages take 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from builder.network.addresses import FAMILIES, Address, Subnet, Version
from cache.record import record

_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _NEW_ROUTE, _GET_ROUTE = 20, 24, 26
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_CREATE = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_UP = 1  # IFF_UP
_ATTR_ADDRESS, _ATTR_NAME, _ATTR_MTU, _ATTR_MASTER = 1, 3, 4, 10
_ATTR_INFO, _ATTR_NAMESPACE_FD = 18, 28
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_ADDRESS_ADDRESS, _ADDRESS_LOCAL, _ADDRESS_FLAGS = 1, 2, 8
_NO_DUPLICATE_DETECTION = 0x02
_ROUTE_DESTINATION, _ROUTE_GATEWAY = 1, 5
_ROUTE_LINK = 4
_MAIN_TABLE, _BY_BOOT, _BY_KERNEL, _UNICAST = 254, 3, 2, 1
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")


def bridge(name: str, *, mac: str, mtu: int = 0) -> bytes:
    """Make a bridge and turn it on.

    With a MAC of its own: else it takes the lowest of its ports', another as they come and go.
    """
    attributes = _text(_ATTR_NAME, name) + _attribute(_ATTR_ADDRESS, mac_bytes(mac))
    attributes += _number(_ATTR_MTU, mtu) if mtu else b""
    kind = _attribute(_ATTR_INFO, _text(_INFO_KIND, "bridge"))
    return _message(_NEW_LINK, _CREATE, _link(up=True) + attributes + kind)


def veth(
    name: str, *, master: int, peer: str, peer_mac: str, namespace_fd: int, mtu: int = 0
) -> bytes:
    """Make a pair: one end a port of the bridge `master`, the other in another namespace."""
    size = _number(_ATTR_MTU, mtu) if mtu else b""
    other = _link() + _text(_ATTR_NAME, peer) + size
    other += _attribute(_ATTR_ADDRESS, mac_bytes(peer_mac))
    other += _number(_ATTR_NAMESPACE_FD, namespace_fd)
    info = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
    attributes = _text(_ATTR_NAME, name) + size + _number(_ATTR_MASTER, master)
    return _message(_NEW_LINK, _CREATE, _link(up=True) + attributes + _attribute(_ATTR_INFO, info))


def link_up(index: int) -> bytes:
    """Turn an interface on."""
    return _message(_NEW_LINK, 0, _link(index, up=True))


def link_query(name: str) -> bytes:
    """Ask for an interface by name."""
    return _message(_GET_LINK, 0, _link() + _text(_ATTR_NAME, name), acknowledged=False)


def deleted_link(name: str) -> bytes:
    """Take an interface away; of a pair, the other end with it."""
    return _message(_DELETE_LINK, 0, _link() + _text(_ATTR_NAME, name))


def added_address(index: int, address: Address, prefix: int) -> bytes:
    """Give an interface an address. One of IPv6 is usable at once, not after a second's doubt."""
    flags = _NO_DUPLICATE_DETECTION if address.version == 6 else 0
    head = struct.pack("=BBBBI", FAMILIES[address.version], prefix, flags, 0, index)
    attributes = _attribute(_ADDRESS_LOCAL, address.packed)
    attributes += _attribute(_ADDRESS_ADDRESS, address.packed)
    return _message(_NEW_ADDRESS, _CREATE, head + attributes)


def default_route(index: int, gateway: Address) -> bytes:
    """Send by `gateway` whatever has no other route."""
    head = _route(gateway.version, _BY_BOOT)
    attributes = _attribute(_ROUTE_GATEWAY, gateway.packed) + _number(_ROUTE_LINK, index)
    return _message(_NEW_ROUTE, _CREATE, head + attributes)


def routes_query(version: Version) -> bytes:
    """Ask for all routes."""
    return _message(_GET_ROUTE, _DUMP, _route(version, 0), acknowledged=False)


def _route(version: Version, protocol: int) -> bytes:
    return _ROUTE.pack(FAMILIES[version], 0, 0, 0, _MAIN_TABLE, protocol, 0, _UNICAST, 0)


def mac_bytes(text: str) -> bytes:
    """The six bytes of a MAC address."""
    return bytes.fromhex(text.replace(":", ""))


def _message(kind: int, flags: int, body: bytes, *, acknowledged: bool = True) -> bytes:
    flags |= _REQUEST | (_ACK if acknowledged else 0)
    return _HEADER.pack(16 + len(body), kind, flags, 0, 0) + body


def _link(index: int = 0, *, up: bool = False) -> bytes:
    return _LINK.pack(0, 0, index, _UP if up else 0, _UP if up else 0)


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def _text(number: int, text: str) -> bytes:
    return _attribute(number, text.encode() + b"\0")


def _number(number: int, value: int) -> bytes:
    return _attribute(number, struct.pack("=I", value))


@record
class Answer:
    """One message of the kernel's."""

    kind: int
    error: int  # an errno; 0 for none
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether it ends an answer of several messages."""
        return self.kind in {_ERROR, _DONE}


def answers(data: bytes) -> Iterator[Answer]:
    """The messages in what was received."""
    place = 0
    while place + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, place)
        if length < 16:
            return
        body = data[place + 16 : place + length]
        error = -struct.unpack_from("=i", body)[0] if kind == _ERROR else 0
        yield Answer(kind, error, body)
        place += length + -length % 4


def link_index(answer: Answer) -> int:
    """The number of the interface that an answer to `link_query` is about."""
    return int(_LINK.unpack_from(answer.body)[2])


def destination(answer: Answer, version: Version) -> Subnet | None:
    """Where a route leads to; None for the default route."""
    prefix = answer.body[1]
    if prefix == 0:
        return None
    attributes = dict(_attributes(answer.body[_ROUTE.size :]))
    first = attributes.get(_ROUTE_DESTINATION)
    return Subnet(version, int.from_bytes(first, "big"), prefix) if first else None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, place)
        if length < 4:
            return
        yield number & 0x3FFF, data[place + 4 : place + length]
        place += length + -length % 4
