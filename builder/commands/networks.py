"""Make, list, show and remove networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from builder.commands.networkstore import network_store
from builder.engine import Engine
from builder.errors import UnsupportedError, UsageError
from builder.image.assemble import rfc3339
from builder.network import manage
from builder.network.bridge import Bridges
from builder.network.errors import NetworkInUseError, NetworkUnavailableError
from builder.network.manage import NetworkRequest
from builder.network.model import BUILT_IN, DEFAULT_NETWORK, Network, Pool
from builder.network.places import pool_of_version
from builder.network.store import NetworkStore
from builder.runtime.containers import Containers
from builder.runtime.networkview import endpoint_id
from builder.runtime.prunefilters import PruneFilter
from cache.record import record

FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")

_Test = Callable[["ListedNetwork"], bool]


@record
class ListedNetwork:
    """A network, or one that is there without being made: host, none, pasta."""

    name: str
    network_id: str
    driver: str
    network: Network | None = None  # None: one of those
    in_use: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """None where it wasn't made."""
        return dict(self.network.labels) if self.network else {}

    @property
    def is_built_in(self) -> bool:
        """Whether it can't be removed."""
        return self.name in BUILT_IN


def create_network(engine: Engine, request: NetworkRequest, *, driver: str) -> str:
    """The id of the new network."""
    if driver != "bridge":
        raise UnsupportedError(
            f'the network driver "{driver[:60]}" is not supported', hint="there is bridge"
        )
    _require_root(engine)
    store = network_store(engine)
    with store.changing():
        return manage.create(store, request, now=engine.now()).network_id


def _require_root(engine: Engine) -> None:
    if engine.settings.rootless:
        raise NetworkUnavailableError(
            "networks of bridges take root",
            hint="an ordinary user's containers have pasta, host and none",
        )


def list_networks(engine: Engine, filters: Iterable[str] = ()) -> tuple[ListedNetwork, ...]:
    """By name; those that all filters mean."""
    tests = _tests(filters)
    store = network_store(engine)
    used = {item.network for item in store.live().endpoints if not item.ended}
    listed = [_built_in("host"), _built_in("none")]
    if engine.settings.rootless:
        listed.append(_built_in("pasta"))
    else:
        _make_default(engine, store)
    listed += (
        ListedNetwork(item.name, item.network_id, "bridge", item, item.name in used)
        for item in store.all()
    )
    chosen = (one for one in listed if all(test(one) for test in tests))
    return tuple(sorted(chosen, key=lambda one: one.name))


def _make_default(engine: Engine, store: NetworkStore) -> None:
    if store.named(DEFAULT_NETWORK) is None:
        with store.changing():
            manage.default_network(store, now=engine.now())


def _built_in(name: str) -> ListedNetwork:
    driver = {"none": "null"}.get(name, name)
    return ListedNetwork(name, sha256(name.encode()).hexdigest(), driver)


def find_network(engine: Engine, text: str) -> ListedNetwork:
    """The network of this name, or whose id begins so. UnknownNetworkError."""
    for listed in list_networks(engine):
        if listed.name == text:
            return listed
    network = network_store(engine).find(text)
    return ListedNetwork(network.name, network.network_id, "bridge", network)


def inspect_document(engine: Engine, listed: ListedNetwork) -> dict[str, object]:
    """What `docker network inspect` prints."""
    network = listed.network
    versions = {pool.subnet.version for pool in network.pools} if network else set[int]()
    return {
        "Name": listed.name,
        "Id": listed.network_id,
        "Created": rfc3339(network.created if network else 0.0),
        "Scope": "local",
        "Driver": listed.driver,
        "EnableIPv4": 4 in versions,
        "EnableIPv6": 6 in versions,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [_pool_document(pool) for pool in network.pools] if network else [],
        },
        "Internal": bool(network and network.internal),
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _members(engine, network) if network else {},
        "Options": dict(network.options) if network else {},
        "Labels": listed.labels,
    }


def _pool_document(pool: Pool) -> dict[str, object]:
    document: dict[str, object] = {"Subnet": str(pool.subnet)}
    if pool.ip_range:
        document["IPRange"] = str(pool.ip_range)
    return document | {"Gateway": str(pool.gateway)}


def _members(engine: Engine, network: Network) -> dict[str, object]:
    containers = Containers(engine.state, engine.database, engine.now)
    names = {container.container_id: container.name for container in containers.all()}
    found: dict[str, object] = {}
    for place in network_store(engine).live().endpoints:
        if place.network == network.name and not place.ended:
            addresses = {
                item.version: f"{item}/{pool_of_version(network, item.version).subnet.prefix}"
                for item in place.addresses
            }
            found[place.container_id] = {
                "Name": names.get(place.container_id, ""),  # "": a step of a build
                "EndpointID": endpoint_id(place),
                "MacAddress": place.mac,
                "IPv4Address": addresses.get(4, ""),
                "IPv6Address": addresses.get(6, ""),
            }
    return found


def _tests(filters: Iterable[str]) -> list[_Test]:
    """Of filters with one name any will do, but for labels."""
    by_name: dict[str, list[_Test]] = {}
    for text in filters:
        name, equals, value = text.partition("=")
        if name not in FILTERS or not equals:
            raise UsageError(
                f'there is no filter "{text[:100]}"', hint=f"NAME=VALUE, of {', '.join(FILTERS)}"
            )
        by_name.setdefault(name, []).append(_test(name, value))
    labels = by_name.pop("label", [])
    return labels + [_any_of(group) for group in by_name.values()]


def _any_of(group: list[_Test]) -> _Test:
    return lambda listed: any(test(listed) for test in group)


def _test(name: str, value: str) -> _Test:  # noqa: PLR0911 - one a filter
    match name:
        case "dangling":
            wanted = _truth(value)
            return lambda listed: (not listed.in_use and not listed.is_built_in) == wanted
        case "driver":
            return lambda listed: listed.driver == value
        case "id":
            return lambda listed: value in listed.network_id
        case "label":
            return lambda listed: _has_label(listed, value)
        case "scope":
            return lambda _: value == "local"
        case "type":
            if value not in {"builtin", "custom"}:
                raise UsageError(f'--filter type: "{value}" is neither builtin nor custom')
            return lambda listed: listed.is_built_in == (value == "builtin")
        case _:
            return lambda listed: value in listed.name


def _truth(value: str) -> bool:
    if value not in {"true", "1", "false", "0"}:
        raise UsageError(f'--filter dangling: "{value}" is neither true nor false')
    return value in {"true", "1"}


def _has_label(listed: ListedNetwork, text: str) -> bool:
    name, equals, value = text.partition("=")
    labels = listed.labels
    return name in labels and (not equals or labels[name] == value)


def remove_network(engine: Engine, text: str) -> str:
    """The name of the network, which is gone. NetworkInUseError where a container is on it."""
    listed = find_network(engine, text)
    if listed.network is None or listed.is_built_in:
        raise NetworkInUseError(f"the network {listed.name} is always there")
    store = network_store(engine)
    with store.changing():
        users = [
            item.container_id[:12]
            for item in store.live().endpoints
            if item.network == listed.name and not item.ended
        ]
        if users:
            raise NetworkInUseError(
                f"the network {listed.name} is in use by {', '.join(users)}",
                hint="stop these containers, or pybuild network disconnect them",
            )
        _remove(store, listed.network)
    return listed.name


def _remove(store: NetworkStore, network: Network) -> None:
    bridges = Bridges(store)
    bridges.remove_bridge(network)
    store.forget(network.name)
    bridges.renew_rules()


def prune_networks(engine: Engine, wanted: PruneFilter) -> tuple[str, ...]:
    """Remove the networks on which no container is or, when started, would be; their names.

    The others, the default one too, lose what they have in the kernel while nothing runs on them.
    """
    if engine.settings.rootless:
        return ()
    store = network_store(engine)
    containers = Containers(engine.state, engine.database, engine.now)
    gone: list[str] = []
    with store.changing():
        kept = {item.network for item in store.live().endpoints if not item.ended} | {
            member.network
            for container in containers.all()
            for member in container.host.networking.memberships
        }
        for network in store.all():
            allowed = wanted.allows(network.created, dict(network.labels))
            if network.name not in {*kept, *BUILT_IN} and allowed:
                _remove(store, network)
                gone.append(network.name)
        Bridges(store).take_down_idle()
    return tuple(gone)
