"""What can be wrong with networks, addresses and ports."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class NetworkOptionError(PybuildError):
    """An option about networks whose value makes no sense."""

    code: ClassVar[str] = "invalid-network-option"


class UnknownNetworkError(PybuildError):
    """No network has this name."""

    code: ClassVar[str] = "unknown-network"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No such network: {name[:200]}",
            hint="pybuild network ls lists them, pybuild network create makes one",
        )


class NetworkExistsError(PybuildError):
    """Another network has the name."""

    code: ClassVar[str] = "network-exists"


class NetworkInUseError(PybuildError):
    """Not possible while containers are on the network."""

    code: ClassVar[str] = "network-in-use"


class AddressTakenError(PybuildError):
    """The address, the subnet or all addresses of it are in use."""

    code: ClassVar[str] = "address-taken"


class PortTakenError(PybuildError):
    """A port of this machine that something else has."""

    code: ClassVar[str] = "port-taken"


class NetworkUnavailableError(PybuildError):
    """The machine lacks what this kind of network is made with."""

    code: ClassVar[str] = "network-unavailable"


class BrokenNetworkError(PybuildError):
    """The record of a network cannot be read."""

    code: ClassVar[str] = "broken-network"
