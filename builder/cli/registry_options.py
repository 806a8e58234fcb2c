"""Options of all commands that speak to registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

import click

from builder.errors import UsageError
from builder.registry.access import Credentials, RegistryAccess

_Decorated = TypeVar("_Decorated", bound=Callable[..., object])


class PlaceOptions(TypedDict):
    """What `with_place_options` hands over."""

    tls_verify: bool | None
    authfile: str


class RegistryOptions(PlaceOptions):
    """What `with_registry_options` hands over."""

    creds: str | None


def with_registry_options(command: _Decorated) -> _Decorated:
    """--tls-verify, --authfile and --creds, as podman has them."""
    command = click.option(
        "--creds", metavar="USER[:PASSWORD]", help="Credentials for the registry."
    )(command)
    return with_place_options(command)


def with_place_options(command: _Decorated) -> _Decorated:
    """--tls-verify and --authfile."""
    command = click.option(
        "--authfile", default="", metavar="FILE", help="Where credentials are kept."
    )(command)
    return click.option(
        "--tls-verify/--no-tls-verify",
        default=None,
        help="false: take any certificate, and plain http.",
    )(command)


def access_of(options: RegistryOptions) -> RegistryAccess:
    """The options' meaning."""
    tls_verify, authfile, creds = options["tls_verify"], options["authfile"], options["creds"]
    if creds is None:
        return RegistryAccess(tls_verify, authfile)
    username, _, password = creds.partition(":")
    if not username:
        raise UsageError("--creds has no user", hint="--creds USER:PASSWORD")
    if not password:
        password = click.prompt(f"Password for {username}", hide_input=True, err=True)
    return RegistryAccess(tls_verify, authfile, Credentials(username, password))
