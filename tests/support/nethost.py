"""A machine of the tests' own as far as networks go: namespaces with an uplink to a neighbour.

What pybuild does to the network of its machine it does in here, and it is gone with the block.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.boxes import wait_until
from support.commands import Finished, run
from support.pybuild import Pybuild
from support.users import Person

HOST4, PEER4, HOST6, PEER6 = "192.0.2.2", "192.0.2.1", "fd00:2::2", "fd00:2::1"

CLIENT = """\
import socket, sys
kind, address, port, text = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as client:
    client.settimeout(2)
    client.connect((address, int(port)))
    client.sendall(text.encode())
    if kind == "tcp":
        client.shutdown(socket.SHUT_WR)
    print(client.recv(4096).decode(), end="")
"""

LISTENER = """\
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        client.sendall(b"from outside\\n")
        client.close()
"""

UPLINK = f"""\
set -e
ip link set lo up
ip link add up0 type veth peer name up1 netns $1
ip addr add {HOST4}/24 dev up0
ip addr add {HOST6}/64 dev up0 nodad
ip link set up0 up
ip route add default via {PEER4}
nsenter -t $1 -n sh -ec '
ip link set lo up
ip addr add {PEER4}/24 dev up1
ip addr add {PEER6}/64 dev up1 nodad
ip link set up1 up'
ip -6 route add default via {PEER6}
"""

TUN = """\
mount -t tmpfs -o mode=755 none /mnt
mknod /mnt/tun c 10 200
chmod 666 /mnt/tun
mount --bind /mnt/tun /dev/net/tun
umount -l /mnt
"""


@dataclass(frozen=True)
class Inhabitant(Person):
    """A person who is on the private machine."""

    host_pid: int = 0

    def prefix(self) -> list[str]:
        return ["nsenter", "-t", str(self.host_pid), "-m", "-n", "--", *super().prefix()]


class HostedPybuild(Pybuild):
    """`pybuild` on the private machine, with the network that it has there by default."""

    def __call__(
        self, *args: Any, env: Mapping[str, str] | None = None, **options: Any
    ) -> Finished:
        return super().__call__(*args, env={"PYBUILD_NETWORK": "", **(env or {})}, **options)


class NetHost:
    """The machine, and the neighbour at the other end of its uplink."""

    def __init__(self, host_pid: int, peer_pid: int) -> None:
        self.host_pid = host_pid
        self.peer_pid = peer_pid

    def person(self, person: Person) -> Inhabitant:
        return Inhabitant(person.name, person.uid, person.gid, person.home, self.host_pid)

    def run(self, *argv: str, at: str = "host") -> Finished:
        """Run a program as root on the machine, or `at` its neighbour, "peer"."""
        pid = self.host_pid if at == "host" else self.peer_pid
        return run(["nsenter", "-t", str(pid), "-n", "-m", "--", *argv], timeout_s=60)

    def ask(self, address: str, port: int, *, at: str = "host", kind: str = "tcp") -> str:
        """What a server says to "hello"; "" where there is none."""
        done = self.run(*(sys.executable, "-c", CLIENT, kind, address, str(port), "hello\n"), at=at)
        return done.stdout

    @contextmanager
    def listening(self, address: str, port: int, *, at: str) -> Iterator[None]:
        """A server that says "from outside"."""
        pid = self.host_pid if at == "host" else self.peer_pid
        argv = ["nsenter", "-t", str(pid), "-n", sys.executable, "-c", LISTENER]
        with subprocess.Popen([*argv, address, str(port)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
            process.kill()

    def links(self) -> list[str]:
        """The interfaces of the machine but its own."""
        lines = self.run("ip", "-o", "link").ok().stdout.splitlines()
        names = [line.split(": ")[1].partition("@")[0] for line in lines]
        return [name for name in names if name not in {"lo", "up0"} and not is_kernels(name)]

    def rules(self) -> str:
        return self.run("nft", "list", "ruleset").ok().stdout

    def wait_for_no_veth(self) -> None:
        wait_until(lambda: not [name for name in self.links() if name.startswith("pbv")], "a veth")


def is_kernels(name: str) -> bool:
    """Whether the kernel makes the interface in every namespace."""
    return name.startswith(("tunl", "sit", "gre", "erspan", "ip_vti", "ip6", "ifb"))


@contextmanager
def net_host(*, tun: bool = True) -> Iterator[NetHost]:
    """Make the machine. `tun`: everybody may open /dev/net/tun."""
    with ExitStack() as stack:
        peer_pid = _holder(stack, "--net")
        host_pid = _holder(stack, "--net", "--mount")
        host = NetHost(host_pid, peer_pid)
        host.run("sh", "-c", UPLINK, "sh", str(peer_pid)).ok()
        if tun and Path("/dev/net/tun").exists():
            host.run("sh", "-ec", TUN).ok()
        yield host


def _holder(stack: ExitStack, *namespaces: str) -> int:
    """A process that does nothing in new namespaces."""
    process = subprocess.Popen(["unshare", *namespaces, "sleep", "3600"])
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process.pid
