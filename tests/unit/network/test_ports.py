"""-p and --expose, and the PORTS column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.network.errors import NetworkOptionError
from builder.network.model import PortMapping
from builder.network.ports import checked_distinct, parse_expose, parse_publish, ports_text

PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [PortMapping(80)]),
        ("8080:80", [PortMapping(80, "tcp", "", 8080)]),
        ("8080:80/udp", [PortMapping(80, "udp", "", 8080)]),
        ("8080:80/TCP", [PortMapping(80, "tcp", "", 8080)]),
        ("127.0.0.1:8080:80", [PortMapping(80, "tcp", "127.0.0.1", 8080)]),
        ("127.0.0.1::80", [PortMapping(80, "tcp", "127.0.0.1")]),
        ("[::1]:8080:80", [PortMapping(80, "tcp", "::1", 8080)]),
        ("[fd00::1]::80", [PortMapping(80, "tcp", "fd00::1")]),
        ("8000-8001:80-81", [PortMapping(80, "tcp", "", 8000), PortMapping(81, "tcp", "", 8001)]),
        ("80-81", [PortMapping(80), PortMapping(81)]),
        ("8000-8010:80", [PortMapping(80, "tcp", "", 8000, 8010)]),
    ],
)
def test_what_is_published_is_read_as_docker_reads_it(text, ports):
    assert list(parse_publish(text)) == ports


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "80:", "0", "80:0", "65536", "x", "80/", "80/icmp", "80/sctp", "81-80",
     "8000-8001:80-82", "8000:80-81", "::1:8080:80", "[::1]:80", "host:80:80", "1.2.3:80:80",
     "-1", "80-", "+80", "\uff18\uff10", "8080:80:90:70"],
)  # fmt: skip
def test_what_is_no_port_is_refused(text):
    if text == ":80":  # docker takes it for a port of the container's alone
        assert parse_publish(text) == (PortMapping(80),)
        return
    with pytest.raises(NetworkOptionError):
        parse_publish(text)


@given(st.text(alphabet="0123456789:-./[]tcpudx", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        ports = parse_publish(text)
    except NetworkOptionError:
        return
    assert all(0 < port.container_port < 65536 for port in ports)
    assert ports


@given(PORTS, PORTS, st.sampled_from(["tcp", "udp"]))
def test_a_port_that_ps_shows_can_be_published_again(host, container, protocol):
    port = PortMapping(container, protocol, "127.0.0.1", host)
    shown = ports_text([port])
    assert shown == f"127.0.0.1:{host}->{container}/{protocol}"
    place, _, inside = shown.partition("->")
    assert parse_publish(f"{place}:{inside}") == (port,)


def test_exposed_ports_are_ports_or_ranges():
    assert parse_expose("80") == (PortMapping(80),)
    assert parse_expose("53/udp") == (PortMapping(53, "udp"),)
    assert parse_expose("80-81/tcp") == (PortMapping(80), PortMapping(81))
    with pytest.raises(NetworkOptionError):
        parse_expose("8080:80")


def test_a_port_published_twice_is_one_and_two_on_one_are_refused():
    web, also = PortMapping(80, "tcp", "", 8080), PortMapping(81, "tcp", "", 8080)
    assert checked_distinct([web, web]) == (web,)
    assert checked_distinct([web, PortMapping(80, "udp", "", 8080)])
    assert checked_distinct([web, PortMapping(81, "tcp", "127.0.0.1", 8080)])
    with pytest.raises(NetworkOptionError):
        checked_distinct([web, also])


def test_ps_shows_neighbours_as_a_range_and_what_is_only_exposed_last():
    ports = [PortMapping(80 + n, "tcp", "", 8080 + n) for n in (1, 0)]
    ports += [PortMapping(53, "udp", "", 53)]
    assert ports_text(ports, ["443/tcp", "80/tcp"]) == (
        "0.0.0.0:8080-8081->80-81/tcp, 0.0.0.0:53->53/udp, 443/tcp"
    )


def test_ps_shows_an_address_of_each_version_that_leads_to_the_port():
    ports = [PortMapping(80, "tcp", "", 8080)]
    assert ports_text(ports, versions=(4, 6)) == "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    assert ports_text([PortMapping(80, "tcp", "::1", 8080)]) == "[::1]:8080->80/tcp"
