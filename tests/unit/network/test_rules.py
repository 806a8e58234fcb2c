"""The firewall's table as text."""

from __future__ import annotations

from builder.network import ipam, rules
from builder.network.addresses import Address, Subnet
from builder.network.model import Network, PortMapping

TARGET = Address(4, (10 << 24) + 2)
TARGET6 = Address(6, (0xFD << 120) + 2)


def network(name: str = "back", **options) -> Network:
    subnet = options.pop("subnet", Subnet(4, 10 << 24, 24))
    return Network(name, "1" * 64, 0.0, f"pb{name}", (ipam.pool_of(subnet),), **options)


def chain(text: str, name: str) -> list[str]:
    _, _, rest = text.partition(f"chain {name} {{")
    return rest.partition("}")[0].strip().splitlines()


def test_the_same_networks_give_the_same_table_whatever_their_order():
    one, other = network("one"), network("other", subnet=Subnet(4, 11 << 24, 24))
    assert rules.state_chain([one, other]) == rules.state_chain([other, one])
    assert rules.state_chain([one]) != rules.state_chain([other])
    assert rules.state_chain([one]) in rules.table_text("t", [one], [])


def test_published_ports_do_not_change_the_table_s_state():
    port = rules.Forward("tcp", "", 8080, TARGET, 80)
    text = rules.table_text("t", [network()], [port])
    assert rules.state_chain([network()]) in text
    assert "add element inet t any4 { tcp . 8080 : 10.0.0.2 . 80 }" in text


def test_a_port_leads_to_the_addresses_of_its_own_kind():
    both = rules.forwards(PortMapping(80, "tcp", "", 8080), [TARGET, TARGET6])
    assert [(item.host_address, item.target) for item in both] == [("", TARGET), ("", TARGET6)]
    (one,) = rules.forwards(PortMapping(80, "udp", "::1", 8080), [TARGET, TARGET6])
    assert (one.host_address, one.target) == ("::1", TARGET6)
    (every,) = rules.forwards(PortMapping(80, "tcp", "0.0.0.0", 8080), [TARGET, TARGET6])
    assert (every.host_address, every.target) == ("", TARGET)


def test_what_is_added_can_be_removed():
    ports = [
        rules.Forward("tcp", "", 8080, TARGET, 80),
        rules.Forward("udp", "127.0.0.1", 53, TARGET, 53),
        rules.Forward("tcp", "fd00::1", 1, TARGET6, 2),
    ]
    assert rules.added_text("t", ports).splitlines() == [
        "add element inet t any4 { tcp . 8080 : 10.0.0.2 . 80 }",
        "add element inet t at4 { 127.0.0.1 . udp . 53 : 10.0.0.2 . 53 }",
        "add element inet t at6 { fd00::1 . tcp . 1 : fd00::2 . 2 }",
    ]
    assert rules.removed_text("t", ports).splitlines() == [
        "delete element inet t any4 { tcp . 8080 }",
        "delete element inet t at4 { 127.0.0.1 . udp . 53 }",
        "delete element inet t at6 { fd00::1 . tcp . 1 }",
    ]


def test_nothing_enters_a_network_but_answers_published_ports_and_its_own():
    forward = chain(rules.table_text("t", [network()], []), "forward")
    assert forward[-2:] == ['    oifname "pbback" drop', '    iifname "pbback" accept']
    assert '    oifname "pbback" ct status dnat accept' in forward


def test_an_internal_network_reaches_nothing_outside():
    text = rules.table_text("t", [network(internal=True)], [])
    forward = chain(text, "forward")
    drop = '    iifname "pbback" oifname != "pbback" drop'
    assert forward.index(drop) < forward.index('    iifname "pbback" accept')
    assert 'oifname != "pbback" ip saddr 10.0.0.0/24 masquerade' not in text


def test_containers_of_an_isolated_network_do_not_reach_one_another():
    text = rules.table_text("t", [network(isolated=True)], [])
    assert '    iifname "pbback" oifname "pbback" drop' in chain(text, "forward")


def test_without_masquerading_addresses_stay():
    text = rules.table_text("t", [network(masquerade=False)], [])
    assert 'oifname != "pbback" ip saddr' not in text
