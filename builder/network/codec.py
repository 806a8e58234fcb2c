"""Networks and who is on them as JSON and back. Times are kept in microseconds."""

from __future__ import annotations

import json
from collections.abc import Iterable

from builder.image.errors import InvalidImageError
from builder.image.jsonobject import JsonObject, parse_object
from builder.network.addresses import Address, address_of, parse_subnet
from builder.network.errors import BrokenNetworkError, NetworkOptionError
from builder.network.model import (
    Endpoint,
    Live,
    Membership,
    Network,
    Pool,
    PortMapping,
    Protocol,
)

FORMAT_VERSION = 1


def encode_network(network: Network) -> bytes:
    """NAME.json."""
    return _encode(
        {
            "format": FORMAT_VERSION,
            "name": network.name,
            "id": network.network_id,
            "created_us": round(network.created * 1_000_000),
            "bridge": network.bridge,
            "pools": [_pool_dict(pool) for pool in network.pools],
            "internal": network.internal,
            "mtu": network.mtu,
            "isolated": network.isolated,
            "masquerade": network.masquerade,
            "labels": dict(network.labels),
            "options": dict(network.options),
        }
    )


def decode_network(blob: bytes) -> Network:
    """The network of a NAME.json; BrokenNetworkError for anything else."""
    try:
        document = parse_object(blob, what="network's record")
        if document.integer("format", required=True) != FORMAT_VERSION:
            raise document.error("format", f"is not {FORMAT_VERSION}")
        return Network(
            name=document.text("name", required=True),
            network_id=document.text("id", required=True),
            created=document.integer("created_us") / 1_000_000,
            bridge=document.text("bridge", required=True),
            pools=tuple(_pool_of(pool) for pool in document.children("pools", required=True)),
            internal=document.boolean("internal"),
            mtu=document.integer("mtu"),
            isolated=document.boolean("isolated"),
            masquerade=document.boolean("masquerade"),
            labels=document.pairs("labels"),
            options=document.pairs("options"),
        )
    except (InvalidImageError, NetworkOptionError) as error:
        raise BrokenNetworkError(error.message) from error


def _pool_dict(pool: Pool) -> dict[str, object]:
    return {
        "subnet": str(pool.subnet),
        "gateway": str(pool.gateway),
        "ip_range": str(pool.ip_range) if pool.ip_range else "",
    }


def _pool_of(document: JsonObject) -> Pool:
    ip_range = document.text("ip_range")
    return Pool(
        subnet=parse_subnet(document.text("subnet"), option="subnet"),
        gateway=_address(document, "gateway"),
        ip_range=parse_subnet(ip_range, option="ip_range") if ip_range else None,
    )


def _address(document: JsonObject, name: str) -> Address:
    address = address_of(document.text(name))
    if address is None:
        raise document.error(name, "is no address")
    return address


def encode_live(live: Live, boot: str) -> bytes:
    """live.json, good for the boot `boot`."""
    return _encode(
        {
            "format": FORMAT_VERSION,
            "boot": boot,
            "endpoints": [_endpoint_dict(endpoint) for endpoint in live.endpoints],
            "published": [
                {"container": container_id, **port_dict(port)}
                for container_id, port in live.published
            ],
        }
    )


def decode_live(blob: bytes, boot: str) -> Live:
    """Who is on the networks; nobody where it was written in another boot, or can't be read.

    A live.json is not made durable: what a lost machine left of it means nothing any more.
    """
    try:
        document = parse_object(blob, what="networks' state")
        if document.text("boot") != boot or document.integer("format") != FORMAT_VERSION:
            return Live()
        return Live(
            endpoints=tuple(_endpoint_of(child) for child in document.children("endpoints")),
            published=tuple(
                (child.text("container"), port_of(child))
                for child in document.children("published")
            ),
        )
    except InvalidImageError:
        return Live()


def _endpoint_dict(endpoint: Endpoint) -> dict[str, object]:
    return {
        "container": endpoint.container_id,
        "network": endpoint.network,
        "interface": endpoint.interface,
        "link": endpoint.link,
        "addresses": [str(address) for address in endpoint.addresses],
        "mac": endpoint.mac,
        "names": list(endpoint.names),
        "ended": endpoint.ended,
    }


def _endpoint_of(document: JsonObject) -> Endpoint:
    return Endpoint(
        container_id=document.text("container"),
        network=document.text("network"),
        interface=document.text("interface"),
        link=document.text("link"),
        addresses=tuple(_addresses(document.texts("addresses") or ())),
        mac=document.text("mac"),
        names=document.texts("names") or (),
        ended=document.boolean("ended"),
    )


def _addresses(texts: Iterable[str]) -> Iterable[Address]:
    return (address for address in map(address_of, texts) if address is not None)


def port_dict(port: PortMapping) -> dict[str, object]:
    """A published port for a JSON document."""
    return {
        "container_port": port.container_port,
        "protocol": port.protocol,
        "host_address": port.host_address,
        "host_port": port.host_port,
        "host_port_last": port.host_port_last,
    }


def port_of(document: JsonObject) -> PortMapping:
    """The published port again."""
    return PortMapping(
        container_port=document.integer("container_port"),
        protocol=_protocol(document),
        host_address=document.text("host_address"),
        host_port=document.integer("host_port"),
        host_port_last=document.integer("host_port_last"),
    )


def _protocol(document: JsonObject) -> Protocol:
    match document.text("protocol"):
        case "tcp":
            return "tcp"
        case "udp":
            return "udp"
        case _:
            raise document.error("protocol", "is unknown")


def membership_dict(membership: Membership) -> dict[str, object]:
    """What a container asks of a network, for a JSON document."""
    return {
        "network": membership.network,
        "address4": membership.address4,
        "address6": membership.address6,
        "mac": membership.mac,
        "aliases": list(membership.aliases),
    }


def membership_of(document: JsonObject) -> Membership:
    """What a container asks of a network again."""
    return Membership(
        network=document.text("network", required=True),
        address4=document.text("address4"),
        address6=document.text("address6"),
        mac=document.text("mac"),
        aliases=document.texts("aliases") or (),
    )


def _encode(document: dict[str, object]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
