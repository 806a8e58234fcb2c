"""Who gets which address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.network import ipam
from builder.network.addresses import Address, Subnet, address_of, parse_subnet
from builder.network.errors import AddressTakenError, NetworkOptionError


def subnet(text: str) -> Subnet:
    return parse_subnet(text, option="--subnet")


def address(text: str) -> Address:
    found = address_of(text)
    assert found is not None
    return found


def test_the_first_of_dockers_pools_that_nothing_overlaps_is_taken():
    assert str(ipam.free_subnet4([])) == "172.17.0.0/16"
    assert str(ipam.free_subnet4([subnet("172.17.0.0/16")])) == "172.18.0.0/16"
    assert str(ipam.free_subnet4([subnet("172.17.5.0/24"), subnet("172.18.0.0/16")])) == (
        "172.19.0.0/16"
    )
    assert str(ipam.free_subnet4([subnet("172.16.0.0/12")])) == "192.168.0.0/20"


def test_where_all_pools_are_taken_that_is_said():
    with pytest.raises(AddressTakenError):
        ipam.free_subnet4([subnet("172.16.0.0/12"), subnet("192.168.0.0/16")])


@given(st.binary(min_size=7, max_size=7))
def test_a_subnet_of_ipv6_is_one_of_unique_local_addresses(random):
    made = ipam.subnet6_of(random)
    assert made.prefix == 64
    assert subnet("fd00::/8").overlaps(made)
    assert subnet(str(made)) == made


@given(st.integers(24, 30), st.sets(st.integers(0, 255), max_size=260))
def test_the_lowest_free_address_is_nobodys(prefix, numbers):
    pool = ipam.pool_of(Subnet(4, 10 << 24, prefix))
    taken = {pool.subnet.address(number) for number in numbers}
    usable = [pool.subnet.address(number) for number in range(2, pool.subnet.size - 1)]
    free = [item for item in usable if item not in taken]
    if free:
        assert ipam.free_address(pool, taken) == free[0]
    else:
        with pytest.raises(AddressTakenError):
            ipam.free_address(pool, taken)


def test_addresses_come_from_the_range_where_there_is_one():
    pool = ipam.pool_of(subnet("10.1.0.0/16"), ip_range=subnet("10.1.5.0/30"))
    assert str(ipam.free_address(pool, [])) == "10.1.5.0"
    assert str(pool.gateway) == "10.1.0.1"
    taken = [address(f"10.1.5.{number}") for number in range(4)]
    with pytest.raises(AddressTakenError):
        ipam.free_address(pool, taken)


def test_a_range_at_the_subnets_begin_leaves_out_what_no_interface_can_have():
    pool = ipam.pool_of(subnet("10.1.0.0/24"), ip_range=subnet("10.1.0.0/29"))
    assert str(ipam.free_address(pool, [])) == "10.1.0.2"


def test_a_gateway_or_a_range_outside_the_subnet_is_refused():
    net = subnet("10.1.0.0/24")
    for gateway in ("10.2.0.1", "10.1.0.0", "10.1.0.255"):
        with pytest.raises(NetworkOptionError):
            ipam.pool_of(net, gateway=address(gateway))
    for ip_range in ("10.2.0.0/28", "10.1.0.0/16"):
        with pytest.raises(NetworkOptionError):
            ipam.pool_of(net, ip_range=subnet(ip_range))
    with pytest.raises(NetworkOptionError):
        ipam.pool_of(subnet("10.1.0.0/31"))


def test_an_address_that_is_asked_for_is_had_or_refused():
    pool = ipam.pool_of(subnet("10.1.0.0/24"))
    wanted = address("10.1.0.9")
    assert ipam.checked_address(pool, wanted, []) == wanted
    for taken in ("10.1.0.9", "10.1.0.1"):
        with pytest.raises(AddressTakenError):
            ipam.checked_address(pool, address(taken), [wanted])
    for outside in ("10.2.0.9", "10.1.0.0", "10.1.0.255", "fd00::1"):
        with pytest.raises(NetworkOptionError):
            ipam.checked_address(pool, address(outside), [])


def test_a_mac_belongs_to_its_address():
    assert ipam.mac_of(address("172.17.0.2")) == "02:42:ac:11:00:02"
    assert ipam.mac_of(address("fd00::1:2")) == "02:42:00:01:00:02"
