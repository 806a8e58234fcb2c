"""A running container gets on a network, or off one."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.network.bridge import Bridges
from builder.network.manage import default_network
from builder.network.model import DEFAULT_NETWORK, Endpoint, Membership
from builder.network.places import Wanted
from builder.runtime.connecting import Networks
from builder.runtime.container import Container
from builder.sandbox.hostfiles import text_of
from cache.statedir import write_atomically

if TYPE_CHECKING:
    from builder.network.store import NetworkStore
    from builder.runtime.containers import Containers


def join_running(
    container: Container, member: Membership, pid: int, networks: Networks
) -> Endpoint:
    """Put it on one more network; its place there. `pid`: of its first process."""
    store = networks.store
    wanted = Wanted(container.container_id, (member,), names=(container.name, container.short_id))
    namespace_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with store.changing():
            network = (
                default_network(store, now=networks.now())
                if member.network == DEFAULT_NETWORK
                else store.find(member.network)
            )
            bridges = Bridges(store)
            endpoint = bridges.add(wanted, network)
            try:
                bridges.join([endpoint], namespace_fd, routed=_routed(store, container))
            except BaseException:
                bridges.leave(container.container_id, network=member.network)
                raise
    finally:
        os.close(namespace_fd)
    paths = networks.containers.paths(container.container_id)
    lines = "".join(f"{address}\t{container.hostname}\n" for address in endpoint.addresses)
    _rewrite(paths.hosts, text_of(paths.hosts) + lines)
    names = f"names {store.names_file(member.network)}\n"
    _change_resolver(paths.resolver, lambda text: text + names)
    return endpoint


def _routed(store: NetworkStore, container: Container) -> bool:
    """Whether it has a way out of another network already."""
    places = store.live().endpoints_of(container.container_id)
    return any(not store.find(place.network).internal for place in places[:-1])


def leave_running(
    container: Container, network: str, store: NetworkStore, containers: Containers
) -> None:
    """Take it off a network. One that does not run, or is not on it, is no error."""
    with store.changing():
        places = store.live().endpoints_of(container.container_id)
        place = next((item for item in places if item.network == network), None)
        if place is None:
            return
        bridges = Bridges(store)
        bridges.remove_link(place)
        bridges.leave(container.container_id, network=network)
    paths = containers.paths(container.container_id)
    gone = tuple(f"{address}\t" for address in place.addresses)
    kept = (line for line in text_of(paths.hosts).splitlines() if not line.startswith(gone))
    _rewrite(paths.hosts, "".join(f"{line}\n" for line in kept))
    names = f"names {store.names_file(network)}\n"
    _change_resolver(paths.resolver, lambda text: text.replace(names, ""))


def _rewrite(path: str, text: str) -> None:
    """In place: the container has this very file mounted."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    with open(fd, "wb", buffering=0) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def _change_resolver(path: str, change: Callable[[str], str]) -> None:
    """What the container's name server reads, if it has one."""
    with suppress(FileNotFoundError):
        os.stat(path)
        write_atomically(path, change(text_of(path)).encode(), durable=False)
