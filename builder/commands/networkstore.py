"""The networks of the engine's store."""

from __future__ import annotations

from builder.engine import Engine
from builder.network.store import NetworkStore
from builder.runtime.liveness import boot_id


def network_store(engine: Engine) -> NetworkStore:
    """What networks there are, and who is on them."""
    return NetworkStore(engine.state, boot=boot_id())
