"""Which network a container gets, once it is known what the machine has."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from builder.errors import UsageError
from builder.kernel.capabilities import get_sets
from builder.network import pasta
from builder.network.errors import NetworkUnavailableError
from builder.network.model import DEFAULT_NETWORK, Membership
from builder.network.program import program
from builder.runtime.networking import Networking
from cache.record import record, replace

SETTING = "PYBUILD_NETWORK"
"""The environment's word for what `--network` is where it isn't said."""

_CAP_NET_ADMIN = 12
_DEFAULTS = ("", "bridge", "pasta", "host", "none")


@record
class Machine:
    """What networks can be made with here. The callables say what is in the way; "": nothing."""

    rootless: bool
    without_bridges: Callable[[], str]
    without_pasta: Callable[[], str]


def this_machine(*, rootless: bool) -> Machine:
    """The machine that this runs on."""
    return Machine(rootless, _without_bridges, pasta.unavailable)


def _without_bridges() -> str:
    if not get_sets()[0] >> _CAP_NET_ADMIN & 1:
        return "this process may not configure networks"
    return "" if program("nft") else "nft is not installed"


def settled(
    networking: Networking,
    machine: Machine,
    environment: Mapping[str, str],
    *,
    warn: Callable[[str], None],
) -> Networking:
    """The network with "default" replaced by what that is here.

    What was asked for by name is had or refused; only the default, without published ports, gives
    way to the host's network, and says so. NetworkUnavailableError.
    """
    if networking.mode != "default":
        _check(networking, machine)
        return networking
    usual = environment.get(SETTING, "")
    if usual not in _DEFAULTS:
        raise UsageError(f"{SETTING} is {usual[:50]!a}", hint="bridge, pasta, host or none")
    chosen = _on(networking, usual or ("pasta" if machine.rootless else DEFAULT_NETWORK))
    problem = _problem(chosen, machine)
    publishes = bool(networking.publish or networking.publish_all)
    if usual in {"host", "none"} and publishes:
        chosen = _on(networking, "pasta" if machine.rootless else DEFAULT_NETWORK)
        problem = _problem(chosen, machine)
    if not problem:
        return chosen
    if publishes:
        raise NetworkUnavailableError(f"ports can't be published: {problem}", hint=_hint(machine))
    warn(f"the container gets this machine's network, as with --network host: {problem}")
    return _on(networking, "host")


def _on(networking: Networking, mode: str) -> Networking:
    members = (Membership(DEFAULT_NETWORK),) if mode == DEFAULT_NETWORK else ()
    return replace(networking, mode=mode, memberships=members)


def _check(networking: Networking, machine: Machine) -> None:
    problem = _problem(networking, machine)
    if problem:
        raise NetworkUnavailableError(
            f"--network {networking.mode}: {problem}", hint=_hint(machine)
        )
    if networking.shared_with and machine.rootless:
        raise NetworkUnavailableError(
            f"--network {networking.mode}: an ordinary user's containers can't share a network: "
            "each has a user namespace of its own",
            hint="publish a port with -p, or run both programs in one container",
        )


def _problem(networking: Networking, machine: Machine) -> str:
    """What is in the way of this network, as the beginning of a sentence."""
    if networking.mode == "pasta":
        return machine.without_pasta()
    if networking.is_bridged:
        return "bridges take root" if machine.rootless else machine.without_bridges()
    return ""


def _hint(machine: Machine) -> str:
    if machine.rootless:
        return "--network pasta needs the package passt and a /dev/net/tun that you may open"
    return "install nftables; --network host needs nothing"


def host_name() -> str:
    """This machine's own."""
    return os.uname().nodename
