"""A RUN step on a network of `pybuild network`: `build --network NAME`."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.network.bridge import Bridges
from builder.network.hostports import Ports
from builder.network.model import Membership
from builder.network.places import Wanted, versions_of
from builder.network.store import NetworkStore, this_boot
from builder.sandbox.api import Hooks
from builder.sandbox.hostfiles import Resolver
from cache.record import record

if TYPE_CHECKING:
    from cache.statedir import StateDir


@record
class StepNetwork:
    """What a step has of its network."""

    hooks: Hooks
    addresses: tuple[str, ...]
    hosts: tuple[tuple[str, str], ...]  # (name, address) of the containers that are on it
    resolver: Resolver


@contextmanager
def step_network(state: StateDir, name: str) -> Generator[StepNetwork]:
    """A place on the network for the length of the block. UnknownNetworkError."""
    store = NetworkStore(state, boot=this_boot())
    bridges = Bridges(store)
    step_id = os.urandom(32).hex()
    member = Membership(name)
    with ExitStack() as stack:
        with store.changing():
            network = store.find(name)
            hosts = tuple(
                (alias, str(address))
                for place in store.live().endpoints
                if place.network == network.name and not place.ended
                for address in place.addresses
                for alias in place.names
            )
            places = bridges.reserve(Wanted(step_id, (member,), ()), (network,), Ports(stack))
        try:
            yield StepNetwork(
                Hooks(before_execute=lambda pid: _join(bridges, pid, step_id, store)),
                tuple(str(address) for place in places for address in place.addresses),
                hosts,
                Resolver(has_ipv6=6 in versions_of((network,))),
            )
        finally:
            with store.changing():
                bridges.leave(step_id)


def _join(bridges: Bridges, pid: int, step_id: str, store: NetworkStore) -> None:
    namespace_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        bridges.join(store.live().endpoints_of(step_id), namespace_fd)
    finally:
        os.close(namespace_fd)
