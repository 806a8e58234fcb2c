"""A container's network as it was asked for: the record and its JSON form."""

from __future__ import annotations

from builder.image.jsonobject import JsonObject
from builder.network.codec import membership_dict, membership_of, port_dict, port_of
from builder.network.model import Membership, PortMapping
from cache.record import record

HOST_GATEWAY = "host-gateway"
"""An address of --add-host that means this machine, as the container sees it."""

ALONE = ("default", "none", "host", "pasta")
SHARED = "container:"


@record
class Networking:
    """A container's network, as it was asked for."""

    mode: str = "default"  # default, none, host, pasta, container:ID, or the first network's name
    memberships: tuple[Membership, ...] = ()  # of bridges, the mode's first
    publish: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()  # "80/tcp": beside those of the image
    hostname: str = ""  # "": from the id, or the machine's own with the host's network
    domainname: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()  # name, address or HOST_GATEWAY
    dns: tuple[str, ...] = ()  # name servers instead of the machine's
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()  # ("",): none

    @property
    def shared_with(self) -> str:
        """The container whose network this one is to have, as the user named it; "" for none."""
        return self.mode.removeprefix(SHARED) if self.mode.startswith(SHARED) else ""

    @property
    def is_bridged(self) -> bool:
        """Whether it is on networks of `pybuild network`."""
        return self.mode not in ALONE and not self.shared_with


def networking_dict(networking: Networking) -> dict[str, object]:
    """For a container's config.json."""
    return {
        "mode": networking.mode,
        "memberships": [membership_dict(member) for member in networking.memberships],
        "publish": [port_dict(port) for port in networking.publish],
        "publish_all": networking.publish_all,
        "expose": list(networking.expose),
        "hostname": networking.hostname,
        "domainname": networking.domainname,
        "extra_hosts": [f"{name}={address}" for name, address in networking.extra_hosts],
        "dns": list(networking.dns),
        "dns_options": list(networking.dns_options),
        "dns_search": list(networking.dns_search),
    }


def networking_from(document: JsonObject | None) -> Networking:
    """From a container's config.json."""
    if document is None:
        return Networking()
    return Networking(
        mode=document.text("mode") or "default",
        memberships=tuple(map(membership_of, document.children("memberships"))),
        publish=tuple(map(port_of, document.children("publish"))),
        publish_all=document.boolean("publish_all"),
        expose=document.texts("expose") or (),
        hostname=document.text("hostname"),
        domainname=document.text("domainname"),
        extra_hosts=tuple(
            (name, address)
            for name, _, address in (
                text.partition("=") for text in document.texts("extra_hosts") or ()
            )
        ),
        dns=document.texts("dns") or (),
        dns_options=document.texts("dns_options") or (),
        dns_search=document.texts("dns_search") or (),
    )
