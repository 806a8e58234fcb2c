"""Which servers stand behind a registry's name, and how each may be spoken to.

registries.toml, of which the first that is there counts: $PYBUILD_REGISTRIES, the user's
~/.config/pybuild/registries.toml, /etc/pybuild/registries.toml:

    [registry."docker.io"]
    mirrors = ["https://mirror.example/hub", "http://localhost:5000"]  # asked first, for reading

    [registry."registry.example:5000"]
    insecure = true              # plain http, or TLS whose certificate nobody checks
    ca = "/etc/ssl/example.pem"  # trusted for this registry besides the system's

Certificates also come from docker's and podman's directories: certs.d/HOST[:PORT]/*.crt are
authorities, NAME.cert with NAME.key is what this machine shows.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from builder.errors import UsageError
from cache.record import record

DOCKER_HUB = "docker.io"
_HUB_SERVER = "registry-1.docker.io"
_CERTIFICATE_DIRS = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_KEYS = {"mirrors", "insecure", "ca"}


@record
class Trust:
    """How the other side of a connection is checked."""

    verify: bool = True
    ca_files: tuple[str, ...] = ()
    client_certificate: tuple[str, str] | None = None  # certificate, key


@record
class Server:
    """A server that holds repositories; of `schemes`, the first that works stays."""

    host: str  # HOST[:PORT]
    schemes: tuple[str, ...]
    trust: Trust
    prefix: str = ""  # of its paths: "" or "/hub"


@record
class RegistryConfig:
    """One table of registries.toml."""

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca: str = ""


def read_config(environment: Mapping[str, str]) -> dict[str, RegistryConfig]:
    """By registry; UsageError says what is wrong with the file."""
    for path in _config_files(environment):
        try:
            with open(path, "rb") as file:
                document = tomllib.load(file)
        except FileNotFoundError:
            continue
        except (tomllib.TOMLDecodeError, OSError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        tables = document.get("registry", {})
        if set(document) - {"registry"} or not isinstance(tables, dict):
            raise UsageError(f'{path}: only tables [registry."HOST"] are known')
        named = cast("dict[str, object]", tables)
        return {name: _table(path, name, table) for name, table in named.items()}
    return {}


def _config_files(environment: Mapping[str, str]) -> list[str]:
    if environment.get("PYBUILD_REGISTRIES"):
        return [environment["PYBUILD_REGISTRIES"]]
    home = environment.get("HOME", "/")
    config_home = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    return [
        os.path.join(config_home, "pybuild", "registries.toml"),
        "/etc/pybuild/registries.toml",
    ]


def _table(path: str, name: str, table: object) -> RegistryConfig:
    fields = cast("dict[str, object]", table) if isinstance(table, dict) else {"": None}
    unknown = sorted(set(fields) - _KEYS)
    if unknown:
        raise UsageError(f'{path}: registry."{name}" has no setting "{unknown[0]}"')
    mirrors, insecure, ca = (
        fields.get("mirrors", []),
        fields.get("insecure", False),
        fields.get("ca", ""),
    )
    if not isinstance(mirrors, list) or not isinstance(insecure, bool) or not isinstance(ca, str):
        raise UsageError(
            f'{path}: registry."{name}" has a setting of the wrong kind',
            hint="mirrors is a list of URLs, insecure is true or false, ca is a path",
        )
    urls = tuple(str(url) for url in cast("list[object]", mirrors))
    for url in urls:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise UsageError(f'{path}: the mirror "{url}" is no http or https URL')
    return RegistryConfig(urls, insecure, ca)


def server_of(
    domain: str, config: Mapping[str, RegistryConfig], *, tls_verify: bool | None = None
) -> Server:
    """The server of the registry itself."""
    own = config.get(domain, RegistryConfig())
    insecure = own.insecure if tls_verify is None else not tls_verify
    host = _HUB_SERVER if domain == DOCKER_HUB else domain
    with_http = insecure or (is_loopback(host) and tls_verify is not True)
    return Server(host, ("https", "http") if with_http else ("https",), _trust(host, own, insecure))


def mirrors_of(domain: str, config: Mapping[str, RegistryConfig]) -> tuple[Server, ...]:
    """The servers to ask before the registry itself."""
    servers: list[Server] = []
    for url in config.get(domain, RegistryConfig()).mirrors:
        parts = urlsplit(url)
        own = config.get(parts.netloc, RegistryConfig())
        trust = _trust(parts.netloc, own, own.insecure)
        servers.append(Server(parts.netloc, (parts.scheme,), trust, parts.path.rstrip("/")))
    return tuple(servers)


def is_loopback(host: str) -> bool:
    """Whether HOST[:PORT] is this machine, whose traffic nobody else sees."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    octets = name.split(".")
    is_127 = len(octets) == 4 and octets[0] == "127" and all(part.isdecimal() for part in octets)
    return name in {"localhost", "::1"} or name.endswith(".localhost") or is_127


def _trust(host: str, config: RegistryConfig, insecure: bool) -> Trust:  # noqa: FBT001 - internal
    ca_files = [config.ca] if config.ca else []
    client: tuple[str, str] | None = None
    for parent in _CERTIFICATE_DIRS:
        directory = os.path.join(parent, host)
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".crt"):
                ca_files.append(path)
            elif name.endswith(".cert"):
                client = (path, path.removesuffix(".cert") + ".key")
    return Trust(not insecure, tuple(ca_files), client)
