"""Messages to the kernel: what they are made of, and reading answers."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from builder.network import rtnetlink
from builder.network.addresses import Address, Subnet


def test_messages_say_their_own_length():
    mac = "02:42:ac:11:00:02"
    messages = [
        rtnetlink.bridge("br0", mac=mac, mtu=1400),
        rtnetlink.veth("pbv0", master=2, peer="eth0", peer_mac=mac, namespace_fd=7, mtu=1400),
        rtnetlink.link_up(3),
        rtnetlink.link_query("eth0"),
        rtnetlink.deleted_link("eth0"),
        rtnetlink.added_address(3, Address(4, 1), 24),
        rtnetlink.added_address(3, Address(6, 1), 64),
        rtnetlink.default_route(3, Address(4, 1)),
        rtnetlink.routes_query(6),
    ]
    for message in messages:
        assert struct.unpack_from("=I", message)[0] == len(message)
        assert len(message) % 4 == 0
    assert len(list(rtnetlink.answers(b"".join(messages)))) == len(messages)


def test_an_answer_tells_an_error_from_none():
    refused = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -17)
    done = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, 0)
    first, second = rtnetlink.answers(refused + done)
    assert (first.error, second.error) == (17, 0)
    assert first.is_last


@given(st.binary(max_size=200))
def test_whatever_is_received_is_read_to_its_end(data):
    assert len(list(rtnetlink.answers(data))) <= len(data)


def test_a_route_leads_to_a_subnet_and_the_default_route_to_none():
    def route(prefix: int, destination: bytes = b"") -> rtnetlink.Answer:
        body = struct.pack("=BBBBBBBBI", 2, prefix, 0, 0, 254, 3, 0, 1, 0)
        if destination:
            body += struct.pack("=HH", 8, 1) + destination
        return rtnetlink.Answer(24, 0, body)

    assert rtnetlink.destination(route(0), 4) is None
    assert rtnetlink.destination(route(16, bytes([10, 1, 0, 0])), 4) == Subnet(
        4, (10 << 24) | (1 << 16), 16
    )
