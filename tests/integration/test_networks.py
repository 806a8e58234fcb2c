"""Networks of containers, seen from inside, from their machine and from its neighbour."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from conftest import person_of, require
from support.boxes import end_all, fill_box, wait_until
from support.nethost import HOST4, HOST6, PEER4, HostedPybuild, NetHost, net_host
from support.pybuild import pybuild_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox", "root", "nft", "ip")]

ECHO = """\
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 5353))
while True:
    server.sendto(*server.recvfrom(4096))
"""
SERVER = "mkdir -p /www; echo served >/www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module")
def host() -> Iterator[NetHost]:
    require("root")
    with net_host() as made:
        yield made


@pytest.fixture(scope="module")
def hosted(kind: str, host: NetHost) -> Iterator[HostedPybuild]:
    if kind == "rootless":
        require("pasta")
    with pybuild_of(host.person(person_of(kind)), HostedPybuild) as pybuild:
        fill_box(pybuild)
        yield pybuild


@pytest.fixture
def box(hosted: HostedPybuild, host: NetHost) -> Iterator[HostedPybuild]:
    """`pybuild` with no container before and after."""
    yield hosted
    end_all(hosted, every=True)
    host.wait_for_no_veth()
    assert "elements" not in host.rules()  # no port is published any more


@pytest.fixture
def root_box(box: HostedPybuild) -> HostedPybuild:
    if box.is_rootless:
        pytest.skip("bridges take root")
    return box


def output(box: HostedPybuild, *args: str) -> str:
    return box("run", "--rm", *args).ok().stdout


def reaches(host: NetHost, address: str, port: int, *, at: str = "host") -> bool:
    """Whether a web server answers there."""
    return host.ask(address, port, at=at).startswith("HTTP/")


def serve(box: HostedPybuild, host: NetHost, *args: str, port: int = 8080) -> str:
    """Start a web server in a container; its id when it answers at `port` of 127.0.0.1."""
    container = box("run", "-d", *args, "box", "sh", "-c", SERVER).ok().stdout.strip()
    wait_until(lambda: reaches(host, "127.0.0.1", port), "no answer")
    return container


def test_a_container_has_an_interface_and_a_way_out_of_its_own(box, host):
    with host.listening(PEER4, 7001, at="peer"):
        text = output(
            box, "box", "sh", "-c", f"ls /sys/class/net; ip route; timeout 5 nc {PEER4} 7001; true"
        )
    assert "from outside" in text
    assert "default via" in text
    assert "up0" not in text or box.is_rootless  # pasta's has the name of the machine's own


def test_what_listens_on_the_machines_loopback_is_out_of_reach(box, host):
    with host.listening("127.0.0.1", 7002, at="host"):
        gateway = "$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"
        for address in ("127.0.0.1", gateway):
            done = box("run", "--rm", "box", "sh", "-c", f"timeout 5 nc -w 2 {address} 7002; true")
            assert "from outside" not in done.stdout


def test_a_published_port_is_reached_from_the_machine_and_its_neighbour(box, host):
    serve(box, host, "--name", "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
    for address, port, at in (
        ("127.0.0.1", 8080, "host"),
        (HOST4, 8080, "host"),
        (HOST4, 8080, "peer"),
        ("127.0.0.1", 8081, "host"),
    ):
        assert reaches(host, address, port, at=at), (address, port, at)
    assert not reaches(host, HOST4, 8081, at="host")
    assert not reaches(host, HOST4, 8081, at="peer")
    assert "0.0.0.0:8080->80/tcp" in box("ps").ok().stdout
    assert box("port", "web", "80").ok().stdout.splitlines()[0] == "0.0.0.0:8080"
    ports = box.inspect("web")["NetworkSettings"]["Ports"]
    assert {"HostIp": "127.0.0.1", "HostPort": "8081"} in ports["80/tcp"]
    box("rm", "-f", "web").ok()
    assert not reaches(host, "127.0.0.1", 8080)


def test_a_neighbour_reaches_no_port_that_was_published_for_the_machine_alone(root_box, host):
    serve(root_box, host, "-p", "127.0.0.1:8080:80")
    host.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", at="peer")
    host.run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo", at="peer")
    host.run("ip", "route", "add", "127.0.0.1/32", "via", HOST4, at="peer")
    assert not reaches(host, "127.0.0.1", 8080, at="peer")
    host.run("ip", "route", "del", "127.0.0.1/32", at="peer")
    host.run("ip", "addr", "add", "127.0.0.1/8", "dev", "lo", at="peer")


def test_a_neighbour_reaches_no_port_that_is_not_published(root_box, host):
    serve(root_box, host, "--name", "web", "-p", "8080:80")
    address = root_box.inspect("web")["NetworkSettings"]["IPAddress"]
    assert reaches(host, address, 80)
    host.run("ip", "route", "add", f"{address}/32", "via", HOST4, at="peer").ok()
    try:
        assert not reaches(host, address, 80, at="peer")
    finally:
        host.run("ip", "route", "del", f"{address}/32", at="peer").ok()


def test_ports_that_are_not_said_are_free_ones_and_ranges_stay_together(box, host):
    serve(box, host, "--name", "web", "-p", "8080:80", "-p", "81", "-p", "9000-9002:9000-9002")
    shown = box("port", "web").ok().stdout
    chosen = int(box("port", "web", "81").ok().stdout.splitlines()[0].rpartition(":")[2])
    assert chosen > 1023
    assert all(f"{port}/tcp -> 0.0.0.0:{port}" in shown for port in (9000, 9001, 9002))


def test_all_exposed_ports_are_published_when_asked(box, host):
    box("run", "-d", "--name", "web", "-P", "--expose", "80", "box", "sh", "-c", SERVER).ok()
    port = int(box("port", "web", "80").ok().stdout.splitlines()[0].rpartition(":")[2])
    wait_until(lambda: reaches(host, "127.0.0.1", port), "no answer")


def test_a_port_that_something_has_is_refused(box, host):
    serve(box, host, "-p", "8080:80")
    done = box("run", "--rm", "-p", "8080:80", "box", "true")
    assert done.status == 125
    assert "published by another container" in done.stderr
    with host.listening(HOST4, 7003, at="host"):
        done = box("run", "--rm", "-p", "7003:80", "box", "true")
    assert done.status == 125
    assert "in use by another program" in done.stderr


@pytest.mark.needs("python3")
def test_datagrams_reach_a_published_port(box, host):
    programs = [word for top in ("usr", "lib", "lib64") for word in ("-v", f"/{top}:/{top}:ro")]
    python = ("box", "/usr/bin/python3", "-c", ECHO)
    port = 5353 if box.is_rootless else 5354  # older pastas lose answers where the ports differ
    box("run", "-d", "-p", f"{port}:5353/udp", *programs, *python).ok()
    wait_until(lambda: host.ask("127.0.0.1", port, kind="udp") == "hello\n", "no answer")
    if not box.is_rootless:
        assert host.ask(HOST4, port, kind="udp", at="peer") == "hello\n"


def test_a_container_can_share_anothers_network(root_box, host):
    box = root_box
    serve(box, host, "--name", "web", "-p", "8080:80")
    text = output(
        box,
        "--network",
        "container:web",
        "box",
        "sh",
        "-c",
        "hostname; cat /etc/hosts; timeout 5 nc -w 1 127.0.0.1 80 </dev/null; true",
    )
    assert box("inspect", "-f", "{{.Config.Hostname}}", "web").ok().stdout.strip() in text
    done = box("run", "--rm", "--network", "container:none-such", "box", "true")
    assert done.status == 125


def test_after_many_runs_nothing_is_left(box, host):
    before = host.links()
    for _ in range(8):
        output(box, "-p", "8080:80", "box", "true")
    host.wait_for_no_veth()
    assert len(host.links()) <= len(before) + 1  # the bridge stays
    live = json.loads((box.root / "networks" / "live.json").read_text())
    assert live["published"] == []
    assert [item for item in live["endpoints"] if not item["ended"]] == []
    assert str(box.root) not in host.run("ps", "-eo", "args").stdout  # no pasta


def test_what_a_killed_monitor_left_is_taken_back_by_the_next_command(box, host):
    container = serve(box, host, "-p", "8080:80")
    monitor = box.inspect(container)["State"]["Pid"]
    parent = host.run("ps", "-o", "ppid=", "-p", str(monitor)).ok().stdout.strip()
    host.run("kill", "-9", parent).ok()
    wait_until(lambda: "Exited (137)" in box("ps", "-a").ok().stdout, "not seen as ended")
    serve(box, host, "-p", "8080:80")


def test_containers_of_one_network_find_one_another_by_name(root_box, host):
    root_box("network", "create", "back").ok()
    try:
        serve(
            root_box,
            host,
            *("--name", "web", "--network", "back", "--network-alias", "www"),
            *("-p", "8080:80"),
        )
        text = output(
            root_box,
            "--network",
            "back",
            "box",
            "sh",
            "-c",
            "nslookup web; nslookup www; ping -c1 -W2 web",
        )
        assert "1 packets received" in text
        address = root_box.inspect("web")["NetworkSettings"]["Networks"]["back"]["IPAddress"]
        assert text.count(address) >= 3
        assert root_box("run", "--rm", "box", "ping", "-c1", "-W1", address).status != 0
        assert root_box("network", "rm", "back").status == 1
        end_all(root_box, every=True)
    finally:
        root_box("network", "rm", "-f", "back").ok()
    assert len([name for name in host.links() if name.startswith("pb")]) <= 1


def test_a_prune_takes_idle_bridges_and_rules_out_of_the_kernel(root_box, host):
    root_box("run", "-d", "--name", "busy", "-p", "8099:80", "box", "sleep", "300").ok()
    root_box("network", "prune", "-f").ok()
    assert any(name.startswith("pb") for name in host.links()), "one that is in use stays"
    end_all(root_box, every=True)
    root_box("network", "prune", "-f").ok()
    assert not [name for name in host.links() if name.startswith("pb")]
    assert "pybuild" not in host.run("nft", "list", "tables").stdout
    assert "1 packets received" in output(root_box, "box", "ping", "-c1", "-W2", HOST4)


def test_a_container_gets_on_a_network_and_off_it_while_it_runs(root_box, host):
    for name in ("one", "two"):
        root_box("network", "create", name).ok()
    try:
        root_box("run", "-d", "--name", "web", "--network", "one", "box", "sleep", "300").ok()
        root_box("network", "connect", "--alias", "there", "two", "web").ok()
        seen = ("run", "--rm", "--network", "two", "box", "ping", "-c1", "-W2", "there")
        assert "1 packets received" in root_box(*seen).ok().stdout
        root_box("network", "disconnect", "two", "web").ok()
        assert root_box(*seen).status != 0
        assert list(root_box.inspect("web")["NetworkSettings"]["Networks"]) == ["one"]
        end_all(root_box, every=True)
        assert "one" in root_box("network", "prune", "-f", "--filter", "label!=kept").ok().stdout
        root_box("network", "create", "two").ok()
        assert "two" in root_box("system", "prune", "-f").ok().stdout
    finally:
        root_box("network", "rm", "-f", "one", "two")


def test_with_ipv6_ports_and_names_lead_to_addresses_of_both_kinds(root_box, host):
    root_box("network", "create", "--ipv6", "six").ok()
    try:
        serve(root_box, host, "--name", "web", "--network", "six", "-p", "8080:80")
        wait_until(lambda: reaches(host, HOST6, 8080, at="peer"), "not reached by IPv6")
        text = output(root_box, "--network", "six", "box", "ping", "-6", "-c1", "-W2", "web")
        assert "1 packets received" in text
        end_all(root_box, every=True)
    finally:
        root_box("network", "rm", "-f", "six").ok()


def test_an_internal_network_has_no_way_out(root_box, host):
    root_box("network", "create", "--internal", "--subnet", "10.77.0.0/24", "inside").ok()
    try:
        with host.listening(PEER4, 7004, at="peer"):
            done = root_box(
                *("run", "--rm", "--network", "inside", "--ip", "10.77.0.9"),
                *(
                    "box",
                    "sh",
                    "-c",
                    f"ip addr; ip route add default via 10.77.0.1; timeout 5 nc {PEER4} 7004; true",
                ),
            )
        assert "10.77.0.9/24" in done.stdout
        assert "from outside" not in done.stdout
    finally:
        root_box("network", "rm", "-f", "inside").ok()


def test_the_machine_has_a_name_where_it_is_asked_for(root_box, host):
    with host.listening("0.0.0.0", 7005, at="host"):
        text = output(
            root_box,
            "--add-host",
            "here:host-gateway",
            "box",
            "sh",
            "-c",
            "timeout 5 nc -w 2 here 7005; true",
        )
    assert "from outside" in text


def test_what_is_said_of_the_resolver_stands_in_resolv_conf(box):
    options = ("--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:3")
    text = output(box, *options, "box", "cat", "/etc/resolv.conf")
    assert text.splitlines() == ["nameserver 192.0.2.53", "search example.org", "options ndots:3"]


def test_an_ordinary_user_is_told_what_takes_root(box):
    if not box.is_rootless:
        pytest.skip("root may")
    done = box("network", "create", "back")
    assert done.status == 1
    assert "root" in done.stderr
    assert box("run", "--rm", "--network", "bridge", "box", "true").status == 125


def test_where_pasta_cannot_be_used_the_hosts_network_is_taken_and_said(kind: str):
    if kind == "root":
        pytest.skip("root has bridges")
    with (
        net_host(tun=False) as bare,
        pybuild_of(bare.person(person_of(kind)), HostedPybuild) as pybuild,
    ):
        fill_box(pybuild)
        if bare.run("test", "-w", "/dev/net/tun").status == 0 and not pybuild.is_rootless:
            pytest.skip("everybody may open /dev/net/tun here")
        done = pybuild("run", "--rm", "box", "ls", "/sys/class/net").ok()
        if "up0" in done.stdout and not done.stderr:
            pytest.skip("everybody may open /dev/net/tun here")
        assert "this machine's network" in done.stderr
        done = pybuild("run", "--rm", "-p", "8080:80", "box", "true")
        assert done.status == 125
        assert "/dev/net/tun" in done.stderr


def test_steps_of_a_build_can_be_on_a_network(root_box, host):
    root_box("network", "create", "back").ok()
    try:
        root_box("run", "-d", "--name", "db", "--network", "back", "box", "sleep", "300").ok()
        context = root_box.context(
            {"Dockerfile": "FROM base\nRUN ping -c1 -W2 db && ip route > /r\n"}
        )
        root_box.build(context, "--network", "back", "-t", "built")
        assert "default via" in output(root_box, "--network", "none", "built", "cat", "/r")
        done = root_box("build", "--network", "none-such", context)
        assert done.status == 1
        assert "none-such" in done.stderr
        end_all(root_box, every=True)
    finally:
        root_box("network", "rm", "-f", "back").ok()
