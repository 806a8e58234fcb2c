"""Put containers on networks and take them off, running or not."""

from __future__ import annotations

from builder.commands.networks import find_network
from builder.commands.networkstore import network_store
from builder.engine import Engine
from builder.network.errors import NetworkOptionError
from builder.network.model import DEFAULT_NETWORK, Membership
from builder.runtime.connecting import networks_of
from builder.runtime.container import Container
from builder.runtime.containers import Containers
from builder.runtime.membership import join_running, leave_running
from builder.runtime.networking import Networking
from cache.record import replace


def connect(engine: Engine, member: Membership, text: str) -> None:
    """Put the container that `text` names on a network, for as long as it exists."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    networking = container.host.networking
    member = replace(member, network=_bridge_of(engine, member.network))
    _check(container, member)
    if any(other.network == member.network for other in networking.memberships):
        raise NetworkOptionError(f"{container.name} is on the network {member.network} already")
    if member.aliases and member.network == DEFAULT_NETWORK:
        raise NetworkOptionError("--alias: the default network has no names")
    changed = _with(container, (*networking.memberships, member))
    networks = networks_of(
        engine.state, containers, rootless=engine.settings.rootless, now=engine.now
    )
    report = containers.report(container)
    if report.status in {"running", "paused"}:
        join_running(container, member, report.state.pid, networks)
    containers.write_config(changed)


def disconnect(engine: Engine, network: str, text: str, *, force: bool) -> None:
    """Take the container off a network. `force`: a network that is gone is no error."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    members = container.host.networking.memberships
    name = network if force else _bridge_of(engine, network)
    if all(member.network != name for member in members):
        raise NetworkOptionError(f"{container.name} is not on the network {name}")
    leave_running(container, name, network_store(engine), containers)
    kept = tuple(member for member in members if member.network != name)
    containers.write_config(_with(container, kept))


def _bridge_of(engine: Engine, text: str) -> str:
    listed = find_network(engine, text)
    if listed.network is None:
        raise NetworkOptionError(
            f"containers can't be put on the network {listed.name}, or taken off",
            hint="it is chosen with --network when the container is made",
        )
    return listed.name


def _check(container: Container, member: Membership) -> None:
    networking = container.host.networking
    if networking.mode != "none" and not networking.is_bridged:
        raise NetworkOptionError(
            f"{container.name} can't be put on {member.network}: its network is {networking.mode}"
        )


def _with(container: Container, members: tuple[Membership, ...]) -> Container:
    mode = members[0].network if members else "none"
    networking: Networking = replace(container.host.networking, mode=mode, memberships=members)
    return replace(container, host=replace(container.host, networking=networking))
