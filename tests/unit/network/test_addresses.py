"""Addresses and subnets as numbers."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.network.addresses import (
    Address,
    Subnet,
    address_of,
    parse_address,
    parse_subnet,
)
from builder.network.errors import NetworkOptionError

ADDRESSES = st.ip_addresses()
NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(1, 32)),
    st.tuples(st.ip_addresses(v=6), st.integers(1, 128)),
).map(lambda pair: ipaddress.ip_network(f"{pair[0]}/{pair[1]}", strict=False))


@given(ADDRESSES)
def test_an_address_is_what_the_standard_library_takes_it_for(known):
    address = address_of(str(known))
    assert address == Address(known.version, int(known))
    assert ipaddress.ip_address(str(address)) == known
    assert address.packed == known.packed
    assert address.is_loopback == known.is_loopback
    assert address.is_unspecified == known.is_unspecified


@given(st.text(max_size=20))
def test_other_text_is_no_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert address_of(text) is None


@given(NETWORKS, NETWORKS)
def test_subnets_are_what_the_standard_library_takes_them_for(one, other):
    subnet, second = (parse_subnet(str(each), option="--subnet") for each in (one, other))
    assert ipaddress.ip_network(str(subnet)) == one
    assert subnet.size == one.num_addresses
    expected = one.version == other.version and one.overlaps(other)
    assert subnet.overlaps(second) == expected
    assert subnet.holds(subnet.address(0))
    assert subnet.holds(Address(subnet.version, subnet.last))


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/33", "10.0.0.0/0", "fd00::/129",
             "x/8", "10.0.0.0/²", "10.0.0.0/-8"],
)  # fmt: skip
def test_what_is_no_subnet_is_refused(text):
    with pytest.raises(NetworkOptionError):
        parse_subnet(text, option="--subnet")


def test_an_address_within_a_subnet_is_no_subnet_and_the_hint_says_which_it_is_in():
    with pytest.raises(NetworkOptionError) as failure:
        parse_subnet("10.1.2.3/24", option="--subnet")
    assert failure.value.hint == "the subnet is 10.1.2.0/24"


def test_an_address_of_the_wrong_version_is_refused():
    assert parse_address("10.0.0.1", option="--ip", version=4) == Address(4, (10 << 24) + 1)
    for text, version in (("::1", 4), ("10.0.0.1", 6), ("x", None), ("1.2.3.4\0", None)):
        with pytest.raises(NetworkOptionError):
            parse_address(text, option="--ip", version=version)


def test_a_subnet_of_one_version_holds_no_address_of_the_other():
    assert not Subnet(4, 0, 1).holds(Address(6, 1))
