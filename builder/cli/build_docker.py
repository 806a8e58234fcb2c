"""Docker's and podman's options of `build` that pybuild lacks: refused by name, or harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import click

from builder.cli.command import Command

_Decorated = TypeVar("_Decorated", bound=Callable[..., object])

_CACHE = "the cache lies in the store (PYBUILD_ROOT) and is always used; nothing else is read"
_RETRIES = "requests to registries are always tried again where that helps"
_SQUASH = "for an image of one layer, end with FROM scratch and COPY --from=STAGE / /"
_ATTESTATIONS = "attestations are not made; leave it out, or say {}=false"
_TIME = "set SOURCE_DATE_EPOCH, in the environment or as a --build-arg"
_FILES = "RUN --mount=type=bind takes files from a context, --build-context names another one"

REFUSED: Mapping[str, str | None] = {
    "--all-platforms": "name the platforms: --platform linux/amd64,linux/arm64",
    "--annotation": "--output type=oci,dest=FILE,annotation.KEY=VALUE annotates what it writes",
    "--attest": "attestations are not made; leave it out",
    "--cache-from": _CACHE,
    "--cache-to": _CACHE,
    "--cap-add": "RUN --security=insecure has all capabilities, with --allow security.insecure",
    "--cap-drop": None,
    "--cert-dir": "/etc/containers/certs.d/HOST/ is read, and `ca` in registries.toml",
    "--device": None,
    "--dns": "RUN steps use this machine's /etc/resolv.conf",
    "--env": "write ENV in the Dockerfile, or --build-arg for an ARG",
    "--from": "write ARG BASE and FROM $BASE, and give --build-arg BASE=IMAGE",
    "--ignorefile": "name it like the Dockerfile: FILE.dockerignore",
    "--jobs": "stages that don't depend on each other always run at the same time",
    "--layers": "steps are always cached; --no-cache runs them all",
    "--manifest": "-t names the index of several platforms, too",
    "--omit-history": None,
    "--provenance": _ATTESTATIONS.format("--provenance"),
    "--retry": _RETRIES,
    "--runtime": None,
    "--sbom": _ATTESTATIONS.format("--sbom"),
    "--security-opt": "RUN --security=insecure, with --allow security.insecure, is not confined",
    "--source-date-epoch": _TIME,
    "--squash": _SQUASH,
    "--squash-all": _SQUASH,
    "--stream": None,
    "--timestamp": _TIME,
    "--unsetenv": None,
    "--userns": None,
    "--volume": _FILES,
    "-v": _FILES,
}

_HARMLESS_SWITCHES = ("--rm", "--force-rm", "--load", "--compress", "--disable-content-trust")
"""There are no intermediate containers, images always go to the store, and nothing is sent."""


class BuildCommand(Command):
    """`build`, which knows what else docker's has."""

    refused: ClassVar[Mapping[str, str | None]] = REFUSED


def with_harmless_options(command: _Decorated) -> _Decorated:
    """Options that say what is so anyway, or choose among builders where there is one."""
    for name in _HARMLESS_SWITCHES:
        command = click.option(name, is_flag=True, hidden=True, expose_value=False)(command)
    return click.option("--builder", hidden=True, expose_value=False)(command)
