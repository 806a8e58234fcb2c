"""The ports that a container exposes."""

from __future__ import annotations

from contextlib import suppress

from builder.network.errors import NetworkOptionError
from builder.network.ports import parse_expose
from builder.runtime.container import Container


def exposed_ports(container: Container) -> tuple[str, ...]:
    """The ports that the image or --expose names: "80/tcp"; what is none is left out."""
    found: dict[str, None] = {}
    for text in (*container.config.exposed_ports, *container.host.networking.expose):
        with suppress(NetworkOptionError):
            found.update((port.container_text, None) for port in parse_expose(text))
    return tuple(found)
