"""`pybuild logout`."""

from __future__ import annotations

import os

import click

from builder.cli.command import Command
from builder.commands.login import domain_of, logout


@click.command(cls=Command)
@click.argument("server", default="")
@click.option("--authfile", default="", metavar="FILE", help="Where credentials are kept.")
def command(server: str, authfile: str) -> None:
    """Forget the credentials for SERVER (default: Docker Hub)."""
    domain = domain_of(server)
    known = logout(domain, authfile, os.environ)
    click.echo(f"Removed login credentials for {domain}" if known else f"Not logged in to {domain}")
