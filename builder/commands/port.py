"""Where a container's ports can be reached."""

from __future__ import annotations

from builder.commands.networkstore import network_store
from builder.engine import Engine
from builder.network.errors import NetworkOptionError
from builder.network.ports import parse_expose
from builder.runtime.containers import Containers
from builder.runtime.networkview import places_of

Places = tuple[tuple[str, tuple[str, ...]], ...]


def published(engine: Engine, text: str, port_text: str = "") -> Places:
    """("80/tcp", ("0.0.0.0:8080",)) of each published port, or of one: else NetworkOptionError."""
    containers = Containers(engine.state, engine.database, engine.now)
    container_id = containers.find(text)
    places = places_of(container_id, network_store(engine).live())
    if not port_text:
        return places
    wanted = {port.container_text for port in parse_expose(port_text, option="port")}
    chosen = tuple(item for item in places if item[0] in wanted)
    if not chosen:
        raise NetworkOptionError(f"no public port {port_text} is published for {text}")
    return chosen
