"""Taking back what an ended container has of networks."""

from __future__ import annotations

from builder.network import pasta
from builder.network.bridge import Bridges
from builder.network.store import NetworkStore


def release(container_id: str, container_dir: str, store: NetworkStore) -> None:
    """Take it back, whoever ran the container, and however that ended. Idempotent."""
    pasta.stop(container_dir)
    live = store.live()
    if live.endpoints_of(container_id) or live.ports_of(container_id):
        with store.changing():
            Bridges(store).leave(container_id)
