"""A container's place on a network."""

from __future__ import annotations

import pytest

from builder.network import ipam
from builder.network.addresses import Address, Subnet
from builder.network.errors import AddressTakenError, NetworkOptionError
from builder.network.model import Endpoint, Live, Membership, Network, PortMapping
from builder.network.places import Wanted, endpoint_of, rules_of, without

POOL4, POOL6 = ipam.pool_of(Subnet(4, 10 << 24, 24)), ipam.pool_of(Subnet(6, 0xFD << 120, 64))
BACK = Network("back", "1" * 64, 0.0, "pb1", (POOL4,))
DUAL = Network("dual", "2" * 64, 0.0, "pb2", (POOL4, POOL6))
DEFAULT = Network("bridge", "3" * 64, 0.0, "pb3", (POOL4,))


def placed(network: Network, others=(), **asked) -> Endpoint:
    member = Membership(network.name, **asked)
    wanted = Wanted("c" * 64, (member,), names=("web", "cccccccccccc"))
    return endpoint_of(wanted, member, network, 0, others)


def test_each_container_gets_an_address_of_each_pool_that_nobody_has():
    first = placed(DUAL)
    second = placed(DUAL, [first])
    assert [str(each) for each in first.addresses] == ["10.0.0.2", "fd00::2"]
    assert [str(each) for each in second.addresses] == ["10.0.0.3", "fd00::3"]
    assert first.mac == "02:42:0a:00:00:02"
    assert first.link != second.link


def test_the_address_of_an_ended_container_is_free_once_its_link_is_gone():
    ended = without(Live((placed(BACK),)), "c" * 64).endpoints
    assert str(placed(BACK, ended).addresses[0]) == "10.0.0.3"
    assert str(placed(BACK).addresses[0]) == "10.0.0.2"


def test_what_is_asked_for_is_had_or_refused():
    asked = placed(BACK, address4="10.0.0.77", mac="02:00:00:00:00:07", aliases=("db",))
    assert str(asked.addresses[0]) == "10.0.0.77"
    assert asked.mac == "02:00:00:00:00:07"
    assert asked.names == ("web", "cccccccccccc", "db")
    with pytest.raises(AddressTakenError):
        placed(BACK, [asked], address4="10.0.0.77")
    with pytest.raises(NetworkOptionError):
        placed(BACK, address6="fd00::9")


def test_on_the_default_network_nobody_has_a_name():
    assert placed(DEFAULT).names == ()


def test_a_port_leads_to_the_first_address_of_each_version():
    one = Endpoint("c", "a", "eth0", "l0", (Address(4, 1),), "")
    two = Endpoint("c", "b", "eth1", "l1", (Address(4, 2), Address(6, 3)), "")
    live = Live((one, two), (("c", PortMapping(80, "tcp", "", 8080)),))
    assert [item.target for item in rules_of(live)] == [Address(4, 1), Address(6, 3)]
    assert rules_of(live, "other") == ()
    left = without(live, "c", "a")
    assert [item.target for item in rules_of(left)] == [Address(4, 2), Address(6, 3)]
    assert rules_of(without(live, "c")) == ()
    assert without(live, "c").published == ()
