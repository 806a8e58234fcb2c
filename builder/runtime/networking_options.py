"""Text of the options about networks to values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.network.addresses import address_of, parse_address
from builder.network.errors import NetworkOptionError
from builder.network.model import DEFAULT_NETWORK, Membership, PortMapping
from builder.network.names import checked_label, checked_network_name
from builder.network.ports import checked_distinct, parse_expose, parse_publish
from builder.runtime.networking import ALONE, HOST_GATEWAY, SHARED, Networking
from cache.record import record, replace

_NOT_SHARED = "it has the network of another container"


@record
class NetworkOptions:
    """What the command line says about one network's membership, beside the networks' names."""

    address4: str = ""
    address6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != NetworkOptions()


def networking_of(networks: Sequence[str], base: Networking, options: NetworkOptions) -> Networking:
    """`base` on these networks (`--network` texts; none: the default). NetworkOptionError."""
    members = [parse_membership(text) for text in networks or ("default",)]
    mode = members[0].network
    if mode == "default" and options:
        mode, members[0] = DEFAULT_NETWORK, replace(members[0], network=DEFAULT_NETWORK)
    if mode in ALONE or mode.startswith(SHARED):
        alone = replace(base, mode=mode)
        _check_alone(alone, members[1:], options)
        return alone
    members[0] = _with_options(members[0], options)
    names = [member.network for member in members]
    for member in members:
        checked_network_name(member.network)
        if member.network in ALONE:
            raise NetworkOptionError(f"--network {member.network} can't be combined with others")
        if member.aliases and member.network == DEFAULT_NETWORK:
            raise NetworkOptionError(
                "--network-alias: the default network has no names",
                hint="make one that has: pybuild network create NAME",
            )
    if len(set(names)) < len(names):
        raise NetworkOptionError("--network names one network twice")
    return replace(base, mode=mode, memberships=tuple(members))


def _check_alone(
    networking: Networking, others: Sequence[Membership], options: NetworkOptions
) -> None:
    """What a container can't ask that is on no bridge."""
    mode = networking.mode
    if others:
        raise NetworkOptionError(
            f"--network {mode} can't be combined with other networks",
            hint="only networks of pybuild network can",
        )
    if options:
        raise NetworkOptionError(
            f"--ip, --ip6, --mac-address and --network-alias need a network of their own, "
            f"which --network {mode} is not",
            hint="pybuild network create NAME, then --network NAME",
        )
    if (networking.publish or networking.publish_all) and mode == "host":
        raise NetworkOptionError(
            "--publish does nothing with --network host",
            hint="with --network host the container's ports are this machine's",
        )
    if (networking.publish or networking.publish_all) and mode == "none":
        raise NetworkOptionError("--publish does nothing with --network none")
    if mode.startswith(SHARED):
        _check_shared(networking)


def _check_shared(networking: Networking) -> None:
    if not networking.shared_with:
        raise NetworkOptionError("--network container: lacks the container's name or id")
    bare = Networking(mode=networking.mode)
    for name, option in (
        ("publish", "--publish"),
        ("publish_all", "--publish-all"),
        ("expose", "--expose"),
        ("hostname", "--hostname"),
        ("domainname", "--domainname"),
        ("extra_hosts", "--add-host"),
        ("dns", "--dns"),
        ("dns_options", "--dns-option"),
        ("dns_search", "--dns-search"),
    ):
        if getattr(networking, name) != getattr(bare, name):
            raise NetworkOptionError(
                f"{option} can't be combined with --network {networking.mode}: {_NOT_SHARED}"
            )


def _with_options(member: Membership, options: NetworkOptions) -> Membership:
    return Membership(
        network=member.network,
        address4=options.address4 or member.address4,
        address6=options.address6 or member.address6,
        mac=options.mac or member.mac,
        aliases=(*member.aliases, *options.aliases),
    )


def parse_membership(text: str) -> Membership:
    """`NAME`, or `name=NAME,alias=A,ip=IP,ip6=IP,mac-address=MAC`. NetworkOptionError."""
    if "=" not in text:
        return Membership(text)
    name, address4, address6, mac = "", "", "", ""
    aliases: list[str] = []
    for field in text.split(","):
        key, _, value = field.partition("=")
        match key:
            case "name":
                name = value
            case "alias":
                aliases.append(checked_label(value, option="--network alias="))
            case "ip":
                address4 = str(parse_address(value, option="--network ip=", version=4))
            case "ip6":
                address6 = str(parse_address(value, option="--network ip6=", version=6))
            case "mac-address":
                mac = parse_mac(value)
            case _:
                raise NetworkOptionError(
                    f"--network {text[:100]!a}: {key[:30]!a} is unknown",
                    hint="name, alias, ip, ip6 and mac-address are known",
                )
    return Membership(name, address4, address6, mac, tuple(aliases))


def parse_mac(text: str) -> str:
    """A MAC address of one interface, in the usual form."""
    parts = text.lower().replace("-", ":").split(":")
    digits = set("0123456789abcdef")
    if len(parts) != 6 or any(len(part) != 2 or not digits.issuperset(part) for part in parts):
        raise NetworkOptionError(
            f"--mac-address {text[:50]!a} is no MAC address", hint="92:d0:c6:0a:29:33"
        )
    if int(parts[0], 16) & 1:
        raise NetworkOptionError(f"--mac-address {text[:50]} is one of a group, not of one machine")
    return ":".join(parts)


def parse_all_published(texts: Iterable[str]) -> tuple[PortMapping, ...]:
    """All of `-p`."""
    return checked_distinct(port for text in texts for port in parse_publish(text))


def parse_all_exposed(texts: Iterable[str]) -> tuple[str, ...]:
    """All of `--expose`."""
    ports = (port.container_text for text in texts for port in parse_expose(text))
    return tuple(dict.fromkeys(ports))


def parse_extra_host(text: str) -> tuple[str, str]:
    """`NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may stand in brackets."""
    separator = "=" if "=" in text else ":"
    name, _, address = text.partition(separator)
    bare = address.removeprefix("[").removesuffix("]")
    usable = bare == HOST_GATEWAY or address_of(bare) is not None
    if not name or any(map(str.isspace, text)) or not usable:
        raise NetworkOptionError(
            f"--add-host {text[:100]!a} is not NAME:ADDRESS",
            hint="such as db:10.0.0.5, or db:host-gateway for this machine",
        )
    return name, bare


def parse_hostname(text: str, *, option: str = "--hostname") -> str:
    """A host name that the kernel and the resolver take."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not text or len(text) > 63 or not allowed.issuperset(text) or text[0] in "-.":
        raise NetworkOptionError(
            f"{option} {text[:100]!a} is not a host name",
            hint="at most 63 letters, digits, - and .",
        )
    return text


def parse_resolver_words(texts: Iterable[str], *, option: str) -> tuple[str, ...]:
    """Words of resolv.conf: a blank in one would begin another."""
    words = tuple(texts)
    for word in words:
        if not word.isprintable() or " " in word or len(word) > 255:
            raise NetworkOptionError(f"{option} {word[:100]!a} can't stand in resolv.conf")
    return words
