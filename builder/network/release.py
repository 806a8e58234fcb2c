"""Taking back what an ended container has of networks."""

from __future__ import annotations

from builder.network import pasta
from builder.network.bridge import Bridges
from builder.network.model import Live
from builder.network.store import NetworkStore


def release(container_id: str, store: NetworkStore) -> None:
    """Take it back, whoever ran the container, and however that ended. Idempotent."""
    if not _has_something(store.live(), container_id):
        return
    with store.changing():
        for holder, helper in store.live().helpers:
            if holder == container_id:
                pasta.stop(helper)
        Bridges(store).leave(container_id)


def _has_something(live: Live, container_id: str) -> bool:
    helped = any(holder == container_id for holder, _ in live.helpers)
    return helped or bool(live.endpoints_of(container_id) or live.ports_of(container_id))
