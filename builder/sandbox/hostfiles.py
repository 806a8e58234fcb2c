"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a sandbox: texts, and a writer for them.

The caller binds the files; they never belong to a layer.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Sequence

from builder.errors import UsageError
from builder.sandbox.api import Network

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


def hosts_text(
    hostname: str, *, address: str = "127.0.0.1", extra: Sequence[tuple[str, str]] = ()
) -> str:
    """The text of /etc/hosts; `extra` are (name, address) of --add-host, which come first.

    UsageError for an address that is none.
    """
    lines = [f"{_checked(value, name)}\t{name}\n" for name, value in extra]
    return _FIXED_HOSTS + "".join(lines) + f"{address}\t{hostname}\n"


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


def resolv_conf_text(host_text: str, *, network: Network, systemd_text: str = "") -> str:
    """The text of /etc/resolv.conf, made from the host's.

    With the host's network it is the host's own. Else name servers on the host's loopback
    addresses, which mean nothing inside, are left out; where only systemd's stub was named, those
    that systemd asks (`systemd_text`) count instead, and a public one where nothing is left.
    """
    if network == "host":
        return host_text
    source = host_text
    if _nameservers(host_text) == [_SYSTEMD_STUB] and systemd_text:
        source = systemd_text
    kept = [line for line in source.splitlines() if not _names_loopback(line)]
    if not _nameservers("\n".join(kept)):
        kept += [f"nameserver {address}" for address in _PUBLIC_NAMESERVERS]
    return "".join(f"{line}\n" for line in kept)


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
) -> tuple[tuple[str, str], ...]:
    """Write the three into `directory` (mode 0644); (path inside, path here) of each.

    The host's resolv.conf is read for it.
    """
    resolv_conf = resolv_conf_text(
        _text_of(RESOLV_CONF), network=network, systemd_text=_text_of(_SYSTEMD_RESOLV_CONF)
    )
    texts = (
        (HOSTS, hosts_text(hostname, extra=extra_hosts)),
        (HOSTNAME, f"{hostname}\n"),
        (RESOLV_CONF, resolv_conf),
    )
    return tuple((target, _written(directory, target, text)) for target, text in texts)


def _written(directory: str, target: str, text: str) -> str:
    path = os.path.join(directory, os.path.basename(target))
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    with open(fd, "wb", buffering=0) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        os.fchmod(fd, 0o644)  # whatever the caller's umask: every user inside reads them
    return path


def _text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
