"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a sandbox: texts, and a writer for them.

The caller binds the files; they never belong to a layer.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Sequence

from builder.errors import UsageError
from builder.sandbox.api import Network
from cache.record import record

_FIXED_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_RESOLV_CONF = "/etc/resolv.conf"
_SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
_SYSTEMD_STUB = "127.0.0.53"
_PUBLIC_NAMESERVERS = ("8.8.8.8", "8.8.4.4")  # what Docker falls back to
_LOOPBACK_6 = bytes(15) + b"\1"
_MAX_FILE_BYTES = 1 << 20


HOSTS = "/etc/hosts"
HOSTNAME = "/etc/hostname"
RESOLV_CONF = "/etc/resolv.conf"


@record
class Resolver:
    """What /etc/resolv.conf is to say, where that is not this machine's affair."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()  # ".": none
    options: tuple[str, ...] = ()
    own_server: str = ""  # the address of one in the sandbox, which is the only one asked
    has_ipv6: bool = True  # whether a server of IPv6 can be reached


_USUAL = Resolver()


def hosts_text(
    hostname: str,
    *,
    addresses: Sequence[str] = ("127.0.0.1",),
    domainname: str = "",
    extra: Sequence[tuple[str, str]] = (),
) -> str:
    """The text of /etc/hosts; `extra` are (name, address) of --add-host, which come first.

    UsageError for an address that is none.
    """
    lines = [f"{_checked(value, name)}\t{name}\n" for name, value in extra]
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    return _FIXED_HOSTS + "".join(lines) + "".join(f"{each}\t{names}\n" for each in addresses)


def _checked(address: str, name: str) -> str:
    if _packed(address) is None:
        raise UsageError(
            f'"{address}" is no IP address for the host {name}',
            hint="give NAME:ADDRESS, such as db:10.0.0.5",
        )
    return address


def _packed(address: str) -> bytes | None:
    """The bytes of an IPv4 or IPv6 address; None for other text."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_pton(family, address)
        except OSError:
            continue
    return None


def resolv_conf_text(
    host_text: str,
    *,
    network: Network,
    systemd_text: str = "",
    resolver: Resolver = _USUAL,
) -> str:
    """The text of /etc/resolv.conf, made from the host's.

    With the host's network it is the host's own. Else name servers on the host's loopback
    addresses, which mean nothing inside, are left out; where only systemd's stub was named, those
    that systemd asks (`systemd_text`) count instead, and a public one where nothing is left.
    """
    if network == "host":
        kept = host_text.splitlines()
    else:
        kept = _reachable(_source(host_text, systemd_text), has_ipv6=resolver.has_ipv6)
    if resolver == _USUAL and network == "host":
        return host_text
    servers = (resolver.own_server,) if resolver.own_server else resolver.nameservers
    options = resolver.options
    if resolver.own_server and not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")  # names of containers have no dots, and are not unfinished
    kept = _replaced(kept, "nameserver", servers)
    if resolver.search:
        search = " ".join(resolver.search)
        kept = [line for line in kept if line.split()[:1] not in (["search"], ["domain"])]
        kept += [] if search == "." else [f"search {search}"]
    kept = _replaced(kept, "options", (" ".join(options),) if options else ())
    if not _nameservers("\n".join(kept)) and network != "host":
        kept += [f"nameserver {address}" for address in _PUBLIC_NAMESERVERS]
    return "".join(f"{line}\n" for line in kept)


def upstream_servers(host_text: str, resolver: Resolver) -> tuple[str, ...]:
    """Whom a server of our own asks, from this machine: so loopback addresses are good too."""
    return resolver.nameservers or tuple(_nameservers(host_text)) or _PUBLIC_NAMESERVERS


def _source(host_text: str, systemd_text: str) -> str:
    is_stub = _nameservers(host_text) == [_SYSTEMD_STUB]
    return systemd_text if is_stub and systemd_text else host_text


def _reachable(text: str, *, has_ipv6: bool) -> list[str]:
    return [
        line
        for line in text.splitlines()
        if not _names_loopback(line) and (has_ipv6 or not _names_ipv6(line))
    ]


def _names_ipv6(line: str) -> bool:
    words = line.split()
    return words[:1] == ["nameserver"] and ":" in " ".join(words[1:2])


def _replaced(lines: list[str], keyword: str, values: Sequence[str]) -> list[str]:
    """The lines with `values` instead of those that begin with the keyword, if there are any."""
    if not values:
        return lines
    kept = [line for line in lines if line.split()[:1] != [keyword]]
    return [*kept, *(f"{keyword} {value}" for value in values)]


def _nameservers(text: str) -> list[str]:
    words = (line.split() for line in text.splitlines())
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def _names_loopback(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "nameserver":
        return False
    packed = _packed(words[1].partition("%")[0])
    return packed is not None and (packed == _LOOPBACK_6 or (len(packed) == 4 and packed[0] == 127))


def write_host_files(
    directory: str,
    *,
    hostname: str,
    network: Network,
    extra_hosts: Sequence[tuple[str, str]] = (),
    addresses: Sequence[str] = ("127.0.0.1",),
    domainname: str = "",
    resolver: Resolver = _USUAL,
) -> tuple[tuple[str, str], ...]:
    """Write the three into `directory` (mode 0644); (path inside, path here) of each.

    The host's resolv.conf is read for it.
    """
    resolv_conf = resolv_conf_text(
        text_of(RESOLV_CONF),
        network=network,
        systemd_text=text_of(_SYSTEMD_RESOLV_CONF),
        resolver=resolver,
    )
    hosts = hosts_text(hostname, addresses=addresses, domainname=domainname, extra=extra_hosts)
    texts = ((HOSTS, hosts), (HOSTNAME, f"{hostname}\n"), (RESOLV_CONF, resolv_conf))
    return tuple((target, _written(directory, target, text)) for target, text in texts)


def _written(directory: str, target: str, text: str) -> str:
    path = os.path.join(directory, os.path.basename(target))
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    with open(fd, "wb", buffering=0) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        os.fchmod(fd, 0o644)  # whatever the caller's umask: every user inside reads them
    return path


def text_of(path: str) -> str:
    """What a file of this machine says; "" where it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
