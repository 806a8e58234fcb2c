"""`pybuild manifest inspect`."""

from __future__ import annotations

import json
import os
from typing import Unpack

import click

from builder.cli.command import Command
from builder.cli.registry_options import RegistryOptions, access_of, with_registry_options
from builder.commands.manifest import inspect_manifest, inspect_referrers
from builder.errors import UsageError
from builder.settings import settings_from
from builder.wiring import open_engine


class Arguments(RegistryOptions):
    """The options as click hands them over."""

    referrers: bool
    artifact_type: str


@click.command("manifest inspect", cls=Command)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option(
    "--referrers", is_flag=True, help="Show what is attached to it instead: signatures, SBOMs."
)
@click.option("--artifact-type", default="", metavar="TYPE", help="Of --referrers this type alone.")
@with_registry_options
def command(name: str, **options: Unpack[Arguments]) -> None:
    """Show what a registry has under a name: a manifest, or the index of several platforms."""
    if options["artifact_type"] and not options["referrers"]:
        raise UsageError("--artifact-type is for --referrers")
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, mounts=False, access=access_of(options)) as engine:
        if options["referrers"]:
            found = inspect_referrers(engine, name, options["artifact_type"])
            click.echo(json.dumps(found, indent=3, ensure_ascii=False))
        else:
            click.echo(json.dumps(inspect_manifest(engine, name), indent=3, ensure_ascii=False))
