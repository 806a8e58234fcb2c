"""Networks as they are kept: what each is, and who is on them now."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from hashlib import sha256

from builder.network.codec import decode_live, decode_network, encode_live, encode_network
from builder.network.errors import NetworkExistsError, NetworkOptionError, UnknownNetworkError
from builder.network.model import DEFAULT_NETWORK, Endpoint, Live, Network
from builder.network.names import checked_network_name
from cache.statedir import StateDir, write_atomically

_USUAL_ROOT = "/var/lib/pybuild"


class NetworkStore:
    """Safe from several processes: what changes does so in `changing`, one process at a time."""

    def __init__(self, state: StateDir, *, boot: str) -> None:
        self._state = state
        self._paths = state.networks
        self._boot = boot

    @property
    def table(self) -> str:
        """The name of this store's table in the firewall; another store's is another."""
        return f"pybuild{self._suffix()}"

    @property
    def default_bridge(self) -> str:
        """The name of the default network's interface."""
        suffix = self._suffix()
        return f"pb{suffix}" if suffix else "pybuild0"

    def _suffix(self) -> str:
        root_dir = os.path.realpath(self._state.root_dir)
        if root_dir == _USUAL_ROOT:
            return ""
        return f"-{sha256(os.fsencode(root_dir)).hexdigest()[:8]}"

    def find(self, text: str) -> Network:
        """The network of this name, or whose id begins so. UnknownNetworkError."""
        network = self._load(text)
        if network is None:
            by_id = [item for item in self.all() if text and item.network_id.startswith(text)]
            if len(by_id) != 1:
                raise UnknownNetworkError(text)
            return by_id[0]
        return network

    def named(self, name: str) -> Network | None:
        """The network of exactly this name."""
        return self._load(name)

    def all(self) -> tuple[Network, ...]:
        """All networks, by name."""
        try:
            files = sorted(os.listdir(self._paths.defined_dir))
        except FileNotFoundError:
            return ()
        names = (file.removesuffix(".json") for file in files if file.endswith(".json"))
        found = (self._load(name) for name in names)
        return tuple(network for network in found if network is not None)

    def live(self) -> Live:
        """Who is on the networks now."""
        try:
            with open(self._paths.live, "rb") as file:
                return decode_live(file.read(), self._boot)
        except FileNotFoundError:
            return Live()

    @contextmanager
    def changing(self) -> Generator[None, None, None]:
        """Be the only one to change networks, here and in the kernel."""
        with self._state.lock("networks"):
            yield

    def define(self, network: Network) -> None:
        """Keep a new network; in `changing`. NetworkExistsError."""
        if self._load(network.name) is not None:
            raise NetworkExistsError(f'a network is called "{network.name}" already')
        os.makedirs(self._paths.defined_dir, 0o700, exist_ok=True)
        write_atomically(self._paths.defined(network.name), encode_network(network))

    def forget(self, name: str) -> None:
        """Remove a network; in `changing`."""
        for path in (self._paths.defined(name), self._paths.names(name)):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def write_live(self, live: Live, *, renamed: Iterable[str] = ()) -> None:
        """Keep who is on the networks; in `changing`. `renamed`: on which that has changed."""
        os.makedirs(self._paths.names_dir, 0o700, exist_ok=True)
        write_atomically(self._paths.live, encode_live(live, self._boot), durable=False)
        for name in dict.fromkeys(renamed):
            if name != DEFAULT_NETWORK:
                text = names_text(item for item in live.endpoints if item.network == name)
                write_atomically(self._paths.names(name), text.encode(), durable=False)

    def names_file(self, name: str) -> str:
        """Where a network's resolvers read who is on it."""
        return self._paths.names(name)

    def _load(self, name: str) -> Network | None:
        try:
            path = self._paths.defined(checked_network_name(name))
            with open(path, "rb") as file:
                return decode_network(file.read())
        except (FileNotFoundError, NetworkOptionError):  # of a name that can't be, none is kept
            return None


def this_boot() -> str:
    """The kernel's name for this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def names_text(endpoints: Iterable[Endpoint]) -> str:
    """A line an address, with its names after it: the form of /etc/hosts."""
    lines = (
        f"{address} {' '.join(endpoint.names)}\n"
        for endpoint in endpoints
        if endpoint.names and not endpoint.ended
        for address in endpoint.addresses
    )
    return "".join(lines)
