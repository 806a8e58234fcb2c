"""Login and logout: credentials for a registry, checked there, kept in the user's files."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import UsageError
from builder.image.errors import InvalidReferenceError
from builder.image.reference import DEFAULT_DOMAIN, parse_reference
from builder.registry.access import Credentials, RegistryAccess
from builder.registry.credentials import (
    credential_files,
    erase_credentials,
    store_credentials,
)
from builder.registry.registries import Registries


def domain_of(server: str) -> str:
    """The registry that HOST[:PORT], or a URL of it, means; Docker Hub for "" and its old names."""
    host = server.removeprefix("https://").removeprefix("http://").split("/")[0]
    if host in {"", "index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN}:
        return DEFAULT_DOMAIN
    try:
        named = parse_reference(f"{host}/x")
    except InvalidReferenceError as error:
        raise UsageError(f'"{server}" is no registry', hint="HOST or HOST:PORT") from error
    if named.domain != host:
        raise UsageError(
            f'"{server}" is no registry', hint="a registry has a dot or a port in its name"
        )
    return host


def login(
    domain: str, credentials: Credentials, access: RegistryAccess, environment: Mapping[str, str]
) -> str:
    """Ask the registry whether it takes the credentials, and keep them; where they are now."""
    registries = Registries(access, environment)
    try:
        registries.check(domain, credentials)
    finally:
        registries.close()
    return store_credentials(credential_files(environment, access.authfile), domain, credentials)


def logout(domain: str, authfile: str, environment: Mapping[str, str]) -> bool:
    """Forget the credentials; whether there were any."""
    return erase_credentials(credential_files(environment, authfile), domain)


def known_user(domain: str, authfile: str, environment: Mapping[str, str]) -> str | None:
    """The name that is logged in there."""
    found = credential_files(environment, authfile).find(domain)
    return found.username if found else None
