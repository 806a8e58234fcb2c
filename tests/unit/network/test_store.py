"""Networks on disk: what they are and who is on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.network import ipam
from builder.network.addresses import Address, Subnet
from builder.network.codec import decode_live, decode_network, encode_live, encode_network
from builder.network.errors import BrokenNetworkError, NetworkExistsError, UnknownNetworkError
from builder.network.model import Endpoint, Live, Network, PortMapping
from builder.network.store import NetworkStore, names_text
from cache.statedir import StateDir

NETWORK = Network(
    name="back",
    network_id="ab" * 32,
    created=1700000000.25,
    bridge="pbabababab",
    pools=(
        ipam.pool_of(Subnet(4, 10 << 24, 24), ip_range=Subnet(4, 10 << 24, 28)),
        ipam.pool_of(Subnet(6, 0xFD << 120, 64)),
    ),
    internal=True,
    mtu=1400,
    isolated=True,
    masquerade=False,
    labels=(("a", "b"),),
    options=(("com.docker.network.driver.mtu", "1400"),),
)
ENDPOINT = Endpoint(
    "c" * 64, "back", "eth0", "pbv1", (Address(4, (10 << 24) + 2),), "02:42:0a:00:00:02", ("web",)
)
LIVE = Live(
    (ENDPOINT,),
    (("c" * 64, PortMapping(80, "tcp", "127.0.0.1", 8080)),),
)


@pytest.fixture
def store(tmp_path: Path) -> NetworkStore:
    return NetworkStore(StateDir(str(tmp_path / "store")), boot="boot")


def test_a_network_comes_back_from_its_record():
    assert decode_network(encode_network(NETWORK)) == NETWORK


@pytest.mark.parametrize("blob", [b"", b"{}", b"[]", b'{"format":1,"name":"a"}'])
def test_what_is_no_record_is_broken(blob: bytes):
    with pytest.raises(BrokenNetworkError):
        decode_network(blob)


def test_who_is_on_a_network_comes_back_in_the_same_boot_alone():
    assert decode_live(encode_live(LIVE, "boot"), "boot") == LIVE
    assert decode_live(encode_live(LIVE, "boot"), "another") == Live()
    assert decode_live(b"half a fi", "boot") == Live()


def test_a_network_is_found_by_name_and_by_the_beginning_of_its_id(store: NetworkStore):
    with store.changing():
        store.define(NETWORK)
    assert store.find("back") == store.find("abab") == NETWORK
    assert store.all() == (NETWORK,)
    for text in ("", "other", "../defined/back", "ac"):
        with pytest.raises(UnknownNetworkError):
            store.find(text)


def test_a_name_is_given_once(store: NetworkStore):
    with store.changing():
        store.define(NETWORK)
        with pytest.raises(NetworkExistsError):
            store.define(NETWORK)
        store.forget("back")
        store.forget("back")
    assert store.all() == ()


def test_the_names_of_a_network_stand_in_a_file_for_its_resolvers(store: NetworkStore):
    with store.changing():
        store.write_live(LIVE, renamed=["back"])
    assert Path(store.names_file("back")).read_text() == "10.0.0.2 web\n"
    assert store.live() == LIVE


def test_an_ended_container_has_no_name_any_more():
    ended = Endpoint("c", "back", "eth0", "l", ENDPOINT.addresses, "", ("web",), ended=True)
    assert names_text([ended, ENDPOINT]) == "10.0.0.2 web\n"


def test_two_stores_have_tables_and_bridges_of_their_own(tmp_path: Path, store: NetworkStore):
    other = NetworkStore(StateDir(str(tmp_path / "other")), boot="boot")
    assert store.table != other.table
    assert store.default_bridge != other.default_bridge
    assert len(store.default_bridge) < 16
