"""What `run` says of networks, as values, and which network that is here."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.network.errors import NetworkOptionError, NetworkUnavailableError
from builder.network.model import Membership, PortMapping
from builder.runtime import networking_options as options
from builder.runtime.networking import Networking
from builder.runtime.networking_options import NetworkOptions, networking_of
from builder.runtime.networkmode import Machine, settled

PORT = PortMapping(80, "tcp", "", 8080)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=::1", ("db", "::1")),
        ("db:[fe80::1]", ("db", "fe80::1")),
        ("db:::1", ("db", "::1")),
        ("here:host-gateway", ("here", "host-gateway")),
    ],
)
def test_an_extra_host_is_a_name_and_an_address(text, pair):
    assert options.parse_extra_host(text) == pair


@pytest.mark.parametrize(
    "text", ["db", "db:", ":1.2.3.4", "db:1.2.3.4\nx", "db:host", "a b:1.2.3.4"]
)
def test_an_extra_host_that_would_make_another_line_is_refused(text):
    with pytest.raises(NetworkOptionError):
        options.parse_extra_host(text)


@pytest.mark.parametrize("text", ["", "-a", "a b", "a/b", "a\n", "x" * 64])
def test_a_host_name_that_is_none_is_refused(text):
    with pytest.raises(NetworkOptionError):
        options.parse_hostname(text)


def test_a_mac_address_is_one_of_one_machine():
    assert options.parse_mac("92-D0-C6-0A-29-33") == "92:d0:c6:0a:29:33"
    for text in ("", "92:d0:c6:0a:29", "93:d0:c6:0a:29:33", "92:d0:c6:0a:29:3g", "x"):
        with pytest.raises(NetworkOptionError):
            options.parse_mac(text)


def test_words_of_the_resolver_hold_no_second_line():
    assert options.parse_resolver_words(["ndots:1"], option="--dns-option") == ("ndots:1",)
    for text in ("a\nnameserver 1.2.3.4", "a b", "x" * 256):
        with pytest.raises(NetworkOptionError):
            options.parse_resolver_words([text], option="--dns-option")


def test_a_network_can_be_said_in_dockers_two_ways():
    plain = networking_of(["back"], Networking(), NetworkOptions(address4="10.0.0.9"))
    assert plain.memberships == (Membership("back", "10.0.0.9"),)
    assert plain.mode == "back"
    text = "name=back,alias=a,alias=b,ip=10.0.0.9,ip6=fd00::9,mac-address=02:00:00:00:00:01"
    long = networking_of([text, "front"], Networking(), NetworkOptions())
    assert long.memberships == (
        Membership("back", "10.0.0.9", "fd00::9", "02:00:00:00:00:01", ("a", "b")),
        Membership("front"),
    )


def test_options_of_the_network_without_one_are_the_default_networks():
    made = networking_of([], Networking(), NetworkOptions(mac="02:00:00:00:00:01"))
    assert made.mode == "bridge"
    assert made.memberships[0].mac == "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("networks", "base", "asked"),
    [
        (["host", "back"], Networking(), NetworkOptions()),
        (["back", "back"], Networking(), NetworkOptions()),
        (["back", "host"], Networking(), NetworkOptions()),
        (["none"], Networking(publish=(PORT,)), NetworkOptions()),
        (["host"], Networking(publish=(PORT,)), NetworkOptions()),
        (["host"], Networking(publish_all=True), NetworkOptions()),
        (["host"], Networking(), NetworkOptions(address4="10.0.0.1")),
        (["pasta"], Networking(), NetworkOptions(aliases=("a",))),
        (["bridge"], Networking(), NetworkOptions(aliases=("a",))),
        (["container:x"], Networking(publish=(PORT,)), NetworkOptions()),
        (["container:x"], Networking(hostname="a"), NetworkOptions()),
        (["container:x"], Networking(dns=("10.0.0.1",)), NetworkOptions()),
        (["container:"], Networking(), NetworkOptions()),
        (["../etc"], Networking(), NetworkOptions()),
        ([""], Networking(), NetworkOptions()),
        (["name=back,color=red"], Networking(), NetworkOptions()),
    ],
)
def test_what_contradicts_itself_is_refused(networks, base, asked):
    with pytest.raises(NetworkOptionError):
        networking_of(networks, base, asked)


def machine(*, rootless=False, bridges="", pasta="") -> Machine:
    return Machine(rootless, lambda: bridges, lambda: pasta)


def settle(networking=Networking(), environment=None, **of_machine):  # noqa: B008 - frozen
    warnings: list[str] = []
    made = settled(networking, machine(**of_machine), environment or {}, warn=warnings.append)
    return made.mode, warnings


def test_the_default_is_a_bridge_for_root_and_pasta_for_others():
    assert settle() == ("bridge", [])
    assert settle(rootless=True) == ("pasta", [])


def test_where_the_default_cannot_be_made_the_hosts_network_is_taken_and_said():
    mode, (warning,) = settle(rootless=True, pasta="pasta is not installed")
    assert mode == "host"
    assert "pasta is not installed" in warning
    assert settle(bridges="nft is not installed")[0] == "host"


def test_what_is_asked_for_is_had_or_refused():
    published = Networking(publish=(PORT,))
    for networking, lacking in (
        (published, {"rootless": True, "pasta": "no"}),
        (published, {"bridges": "no"}),
        (Networking("pasta"), {"pasta": "no"}),
        (Networking("back", (Membership("back"),)), {"rootless": True}),
        (Networking("container:web"), {"rootless": True}),
        (Networking("bridge", (Membership("bridge"),)), {"bridges": "no"}),
    ):
        with pytest.raises(NetworkUnavailableError):
            settle(networking, **lacking)


def test_the_environment_may_say_what_the_default_is():
    assert settle(environment={"PYBUILD_NETWORK": "host"}) == ("host", [])
    assert settle(environment={"PYBUILD_NETWORK": "none"}) == ("none", [])
    assert settle(environment={"PYBUILD_NETWORK": "pasta"}) == ("pasta", [])
    assert settle(Networking("none"), {"PYBUILD_NETWORK": "host"}) == ("none", [])
    published = Networking(publish=(PORT,))
    assert settle(published, {"PYBUILD_NETWORK": "host"}) == ("bridge", [])
    with pytest.raises(UsageError):
        settle(environment={"PYBUILD_NETWORK": "back"})
