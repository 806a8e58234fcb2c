"""`pybuild login`."""

from __future__ import annotations

import os
import sys
from typing import Unpack

import click

from builder.cli.command import Command
from builder.cli.registry_options import PlaceOptions, with_place_options
from builder.commands.login import domain_of, known_user, login
from builder.errors import EXIT_DONE, EXIT_FAILED, UsageError
from builder.registry.access import Credentials, RegistryAccess


class Arguments(PlaceOptions):
    """The options as click hands them over."""

    username: str | None
    password: str | None
    password_stdin: bool
    get_login: bool


@click.command(cls=Command)
@click.argument("server", default="")
@click.option("-u", "--username", metavar="USER")
@click.option(
    "-p", "--password", metavar="PASSWORD", help="Others see it: better --password-stdin."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option("--get-login", is_flag=True, help="Print who is logged in, and ask nobody.")
@with_place_options
def command(server: str, **options: Unpack[Arguments]) -> int:
    """Keep credentials for SERVER (default: Docker Hub), once the registry has taken them."""
    domain = domain_of(server)
    authfile = options["authfile"]
    if options["get_login"]:
        return _show_login(domain, authfile)
    credentials = _credentials(
        options["username"], options["password"], password_stdin=options["password_stdin"]
    )
    access = RegistryAccess(options["tls_verify"], authfile, credentials)
    kept = login(domain, credentials, access, os.environ)
    if not kept.startswith("docker-credential-"):
        click.echo(f"WARNING: the password is kept unencrypted in {kept}", err=True)
    click.echo("Login Succeeded")
    return EXIT_DONE


def _show_login(domain: str, authfile: str) -> int:
    user = known_user(domain, authfile, os.environ)
    if user is None:
        click.echo(f"not logged in to {domain}", err=True)
        return EXIT_FAILED
    click.echo(user)
    return EXIT_DONE


def _credentials(
    username: str | None, password: str | None, *, password_stdin: bool
) -> Credentials:
    if password_stdin:
        if password is not None:
            raise UsageError("--password and --password-stdin exclude each other")
        if not username:
            raise UsageError("--password-stdin needs a user", hint="add --username USER")
        password = sys.stdin.read().rstrip("\r\n")
        if not password:
            raise UsageError("stdin has no password")
    if (not username or password is None) and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for name and password on",
            hint="pipe the password into `pybuild login --username USER --password-stdin`",
        )
    if not username:
        username = str(click.prompt("Username", err=True))
    if password is None:
        password = str(click.prompt("Password", hide_input=True, err=True))
    if ":" in username:
        raise UsageError("a user name has no colon")
    return Credentials(username, password)
