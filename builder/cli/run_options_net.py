"""Options of `run` and `create` about the network: what it is, its names, its ports."""

from __future__ import annotations

from builder.cli.run_words import Line, Option, repeated, single, switch
from builder.network.addresses import parse_address
from builder.network.names import checked_label
from builder.runtime import networking_options as options
from builder.runtime.networking import Networking

OPTIONS: tuple[Option, ...] = (
    repeated(
        *("--network", "--net"),
        metavar="NETWORK",
        text="bridge, none, host, pasta, container:CONTAINER or the name of a network.",
    ),
    repeated(
        *("-p", "--publish"),
        metavar="[[IP:]HOST:]CTR[/udp]",
        text="A port of this machine that leads to one of the container.",
    ),
    switch("-P", "--publish-all", text="Publish all exposed ports, on ports that are free."),
    repeated("--expose", metavar="PORT[/udp]", text="A port that -P publishes."),
    single("-h", "--hostname", metavar="NAME", text="Host name (default: the container's id)."),
    single("--domainname", metavar="NAME", text="The domain of the host name."),
    repeated("--add-host", metavar="NAME:IP", text="A line of /etc/hosts."),
    repeated("--dns", metavar="IP", text="A name server, instead of this machine's."),
    repeated("--dns-option", "--dns-opt", metavar="OPTION", text="An option of resolv.conf."),
    repeated("--dns-search", metavar="DOMAIN", text='Where short names are sought; ".": nowhere.'),
    single("--ip", metavar="IP", text="The container's address on its network."),
    single("--ip6", metavar="IP", text="Its IPv6 address."),
    single("--mac-address", metavar="MAC", text="The address of its interface."),
    repeated("--network-alias", metavar="NAME", text="One more name on its network."),
)


def networking_of(line: Line) -> Networking:
    """What the line says of networks. NetworkOptionError for what makes no sense."""
    hostname, domainname = line.values.get("hostname"), line.values.get("domainname")
    base = Networking(
        publish=options.parse_all_published(line.lists.get("publish", ())),
        publish_all="publish-all" in line.switches,
        expose=options.parse_all_exposed(line.lists.get("expose", ())),
        hostname="" if hostname is None else options.parse_hostname(hostname),
        domainname=(
            "" if domainname is None else options.parse_hostname(domainname, option="--domainname")
        ),
        extra_hosts=tuple(map(options.parse_extra_host, line.lists.get("add-host", ()))),
        dns=tuple(str(parse_address(text, option="--dns")) for text in line.lists.get("dns", ())),
        dns_options=options.parse_resolver_words(
            line.lists.get("dns-option", ()), option="--dns-option"
        ),
        dns_search=options.parse_resolver_words(
            line.lists.get("dns-search", ()), option="--dns-search"
        ),
    )
    return options.networking_of(line.lists.get("network", ()), base, _membership_of(line))


def _membership_of(line: Line) -> options.NetworkOptions:
    address4, address6 = line.values.get("ip"), line.values.get("ip6")
    mac = line.values.get("mac-address")
    return options.NetworkOptions(
        address4="" if address4 is None else str(parse_address(address4, option="--ip", version=4)),
        address6=""
        if address6 is None
        else str(parse_address(address6, option="--ip6", version=6)),
        mac="" if mac is None else options.parse_mac(mac),
        aliases=tuple(
            checked_label(text, option="--network-alias")
            for text in line.lists.get("network-alias", ())
        ),
    )
