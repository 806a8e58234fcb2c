"""A container's network, from before its process is there to after its end."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.network import pasta
from builder.network.addresses import Version
from builder.network.bridge import Bridges
from builder.network.errors import AddressTakenError, PortTakenError
from builder.network.hostports import Ports, taken_by
from builder.network.links import inside
from builder.network.manage import default_network
from builder.network.model import DEFAULT_NETWORK, Endpoint, Network, PortMapping
from builder.network.places import Wanted, versions_of
from builder.network.ports import checked_distinct, parse_expose
from builder.network.release import release
from builder.network.store import NetworkStore
from builder.runtime.container import Container
from builder.runtime.errors import InvalidOptionError
from builder.runtime.exposed import exposed_ports
from builder.runtime.liveness import boot_id
from builder.runtime.networking import HOST_GATEWAY
from builder.runtime.paths import ContainerPaths
from builder.sandbox.api import JoinedNamespace
from builder.sandbox.api import Network as SandboxNetwork
from builder.sandbox.hostfiles import (
    HOSTNAME,
    HOSTS,
    RESOLV_CONF,
    Resolver,
    text_of,
    upstream_servers,
    write_host_files,
)
from cache.record import record, replace
from cache.statedir import write_atomically

if TYPE_CHECKING:
    from builder.runtime.containers import Containers
    from cache.statedir import StateDir

DNS_ADDRESS = "127.0.0.11"
_DNS_PORT = 53
_DNS_BACKLOG = 16


@record
class Networks:
    """What networks of containers take of the engine."""

    store: NetworkStore
    containers: Containers
    rootless: bool
    now: Callable[[], float]


def networks_of(
    state: StateDir, containers: Containers, *, rootless: bool, now: Callable[[], float]
) -> Networks:
    """The networks of a store."""
    return Networks(NetworkStore(state, boot=boot_id()), containers, rootless, now)


class Connection:
    """One container's network.

    `prepare` before the process is asked for, `connect` as its hook `before_execute`; what `fds`
    and `resolver_fds` hold afterwards is to stay open as long as the container runs, and the
    process `helper_pid` (pasta) is to end with it. `release` takes everything back, of this run or
    an earlier one.
    """

    def __init__(self, container: Container, networks: Networks) -> None:
        self._container = container
        self._networks = networks
        self._paths = networks.containers.paths(container.container_id)
        self._endpoints: tuple[Endpoint, ...] = ()
        self._ports: tuple[PortMapping, ...] = ()
        self._held = ExitStack()
        self.fds: list[int] = []
        self.resolver_fds: tuple[int, ...] = ()  # UDP, TCP (listening); or none
        self.helper_pid: int | None = None

    @property
    def kind(self) -> SandboxNetwork:
        """As the sandbox knows it."""
        mode = self._container.host.networking.mode
        return "host" if mode == "host" else "none" if mode == "none" else "private"

    @property
    def has_work(self) -> bool:
        """Whether `connect` is to be called."""
        networking = self._container.host.networking
        return networking.is_bridged or networking.mode == "pasta"

    def joined(self) -> tuple[JoinedNamespace, ...]:
        """The namespace of the container whose network this one shares."""
        other = self._container.host.networking.shared_with
        if not other:
            return ()
        state = self._networks.containers.state(other)
        report = self._networks.containers.report(self._networks.containers.load(other))
        if not report.is_running:
            raise InvalidOptionError(
                f"--network container:{other[:12]}: that container does not run",
                hint="start it first",
            )
        return (JoinedNamespace("net", state.pid, state.pid_started),)

    def prepare(self) -> tuple[tuple[str, str], ...]:
        """Take addresses and ports; (path inside, path here) of the files about names in /etc."""
        networking = self._container.host.networking
        if networking.shared_with:
            return _files_of(self._networks.containers.paths(networking.shared_with))
        try:
            networks = self._reserve()
        except (PortTakenError, AddressTakenError):
            if not self._release_dead():
                raise
            networks = self._reserve()
        return self._write_files(networks)

    def connect(self, pid: int) -> None:
        """Configure the network namespace of the process `pid`, which has just been made."""
        networking = self._container.host.networking
        if networking.mode == "pasta":
            self._start_pasta(pid)
        if not networking.is_bridged:
            return
        namespace_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            Bridges(self._networks.store).join(self._endpoints, namespace_fd)
            if self._has_own_server():
                self.resolver_fds = self._resolver_sockets(namespace_fd)
        finally:
            os.close(namespace_fd)

    def close(self) -> None:
        """Close what is open here: whoever keeps the container has copies of it."""
        self._held.close()
        self.fds.clear()
        self.resolver_fds = ()

    def release(self) -> None:
        """Take everything back. Idempotent."""
        self.close()
        release(self._container.container_id, self._paths.container_dir, self._networks.store)

    def _release_dead(self) -> bool:
        """Whether there was something of containers whose monitors were killed; it is not now."""
        containers, store = self._networks.containers, self._networks.store
        live = store.live()
        holders = {item.container_id for item in live.endpoints if not item.ended}
        holders |= {holder for holder, _ in live.published}
        dead = [holder for holder in holders if not containers.is_held(holder)]
        for holder in dead:
            release(holder, containers.paths(holder).container_dir, store)
        return bool(dead)

    def _reserve(self) -> tuple[Network, ...]:
        """Take what the network gives; the bridges' networks."""
        networking = self._container.host.networking
        if networking.is_bridged:
            return self._reserve_places()
        if networking.mode == "pasta":
            self._reserve_ports()
        return ()

    def _reserve_places(self) -> tuple[Network, ...]:
        store = self._networks.store
        ports = Ports(self._held)
        memberships = self._container.host.networking.memberships
        with store.changing():
            networks = tuple(
                default_network(store, now=self._networks.now())
                if member.network == DEFAULT_NETWORK
                else store.find(member.network)
                for member in memberships
            )
            wanted = Wanted(
                self._container.container_id,
                memberships,
                names=(self._container.name, self._container.short_id),
                ports=self._wanted_ports(),
            )
            self._endpoints = Bridges(store).reserve(wanted, networks, ports)
        self.fds += ports.fds
        return networks

    def _reserve_ports(self) -> None:
        """Choose the ports that pasta is to take; it binds them itself."""
        store = self._networks.store
        with ExitStack() as briefly, store.changing():
            live = store.live()
            taken = taken_by(port for _, port in live.published)
            ports = Ports(briefly)
            self._ports = tuple(
                ports.take(port, versions=_pasta_versions(port), taken=taken)
                for port in self._wanted_ports()
            )
            mine = tuple((self._container.container_id, port) for port in self._ports)
            store.write_live(replace(live, published=(*live.published, *mine)))

    def _wanted_ports(self) -> tuple[PortMapping, ...]:
        networking = self._container.host.networking
        wanted = list(networking.publish)
        if networking.publish_all:
            published = {port.container_text for port in wanted}
            wanted += (
                port
                for text in exposed_ports(self._container)
                for port in parse_expose(text)
                if port.container_text not in published
            )
        return checked_distinct(wanted)

    def _start_pasta(self, pid: int) -> None:
        self.helper_pid = pasta.start(
            pid,
            self._ports,
            directory=self._paths.container_dir,
            as_root=not self._networks.rootless,
        )

    def _has_own_server(self) -> bool:
        return any(endpoint.names for endpoint in self._endpoints)

    def _resolver_sockets(self, namespace_fd: int) -> tuple[int, ...]:
        """The sockets of the container's name server, in its namespace."""
        with inside(namespace_fd):
            udp = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            self._held.callback(udp.close)
            udp.bind((DNS_ADDRESS, _DNS_PORT))
            tcp = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            self._held.callback(tcp.close)
            tcp.bind((DNS_ADDRESS, _DNS_PORT))
            tcp.listen(_DNS_BACKLOG)
        return udp.fileno(), tcp.fileno()

    def _write_files(self, networks: tuple[Network, ...]) -> tuple[tuple[str, str], ...]:
        networking = self._container.host.networking
        own_server = self._has_own_server()
        resolver = Resolver(
            nameservers=networking.dns,
            search=networking.dns_search,
            options=networking.dns_options,
            own_server=DNS_ADDRESS if own_server else "",
            has_ipv6=not networks or 6 in versions_of(networks),
        )
        if own_server:
            self._write_resolver(resolver)
        addresses = [str(item) for endpoint in self._endpoints for item in endpoint.addresses]
        return write_host_files(
            self._paths.container_dir,
            hostname=self._container.hostname,
            network=self.kind,
            extra_hosts=tuple(_extra_hosts(networking.extra_hosts, networking.mode, networks)),
            addresses=addresses or ("127.0.0.1",),
            domainname=networking.domainname,
            resolver=resolver,
        )

    def _write_resolver(self, resolver: Resolver) -> None:
        """For the server: whom it asks, and where the names of each network stand."""
        lines = [f"upstream {each}\n" for each in upstream_servers(text_of(RESOLV_CONF), resolver)]
        store = self._networks.store
        lines += [f"names {store.names_file(item.network)}\n" for item in self._endpoints]
        write_atomically(self._paths.resolver, "".join(lines).encode(), durable=False)


def _pasta_versions(port: PortMapping) -> tuple[Version, ...]:
    """Of a port that is published on all addresses IPv4 decides whether it is free."""
    return (6,) if ":" in port.host_address else (4,)


def _files_of(paths: ContainerPaths) -> tuple[tuple[str, str], ...]:
    return ((HOSTS, paths.hosts), (HOSTNAME, paths.hostname), (RESOLV_CONF, paths.resolv_conf))


def _extra_hosts(
    pairs: Iterable[tuple[str, str]], mode: str, networks: tuple[Network, ...]
) -> Iterable[tuple[str, str]]:
    for name, address in pairs:
        if address != HOST_GATEWAY:
            yield name, address
        elif networks:
            yield name, str(networks[0].pools[0].gateway)
        elif mode == "host":
            yield name, "127.0.0.1"
        else:
            raise InvalidOptionError(
                f"--add-host {name}:{HOST_GATEWAY}: with --network {mode} there is no way to this "
                "machine",
                hint="with --network host there is, and on bridges",
            )
