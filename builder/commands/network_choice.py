"""Which network a new container is to have, with what depends on this machine put in."""

from __future__ import annotations

import os

from builder.commands.networkstore import network_store
from builder.engine import Engine
from builder.events import Warned
from builder.network.errors import NetworkUnavailableError
from builder.network.manage import default_network
from builder.network.model import DEFAULT_NETWORK, Membership
from builder.network.store import NetworkStore
from builder.runtime.container import HostConfig
from builder.runtime.containers import Containers
from builder.runtime.networking import SHARED, Networking
from builder.runtime.networkmode import host_name, settled, this_machine
from cache.record import replace


def with_network(engine: Engine, containers: Containers, host: HostConfig) -> HostConfig:
    """The options with a network that can be had, and others' names made ids or names for good.

    UnknownNetworkError, UnknownContainerError, NetworkUnavailableError.
    """
    networking = settled(
        host.networking,
        this_machine(rootless=engine.settings.rootless),
        os.environ,
        warn=lambda text: engine.emit(Warned(text)),
    )
    if networking.is_bridged:
        networking = _with_names(networking, network_store(engine))
    if networking.shared_with:
        networking = replace(networking, mode=SHARED + containers.find(networking.shared_with))
    if "host" in {networking.mode, host.security.uts} and not networking.hostname:
        networking = replace(networking, hostname=host_name())
    return replace(host, networking=networking)


def _with_names(networking: Networking, store: NetworkStore) -> Networking:
    """The networks by their names, where their ids were given."""

    def named(member: Membership) -> Membership:
        if member.network == DEFAULT_NETWORK:
            return member
        return replace(member, network=store.find(member.network).name)

    members = tuple(map(named, networking.memberships))
    return replace(networking, mode=members[0].network, memberships=members)


def check_build_network(engine: Engine, name: str) -> None:
    """Whether steps of a build can be on the network, which is there then.

    UnknownNetworkError, NetworkUnavailableError.
    """
    machine = this_machine(rootless=engine.settings.rootless)
    settled(Networking(name, (Membership(name),)), machine, {}, warn=lambda _: None)
    if engine.settings.isolation == "chroot":
        raise NetworkUnavailableError(
            f"--network {name}: with --isolation=chroot steps have this machine's network"
        )
    store = network_store(engine)
    if name == DEFAULT_NETWORK:
        with store.changing():
            default_network(store, now=engine.now())
    store.find(name)
