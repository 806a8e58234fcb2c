"""The command line of `run`: what of docker's is refused, and status 125 for what went wrong.

Options end at the image. Whatever is wrong before a container runs ends with status 125.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from builder.cli import failure
from builder.cli.command import Command
from builder.errors import EXIT_BUG, EXIT_RUN_ENGINE
from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError
from cache.errors import PybuildError

_REFUSED_LONG = (
    "annotation blkio-weight-device cpu-count cpu-percent cpu-rt-period cpu-rt-runtime "
    "disable-content-trust env-host gpus io-maxbandwidth io-maxiops isolation "
    "kernel-memory link link-local-ip "
    "replace rmi rootfs secret storage-opt "
    "systemd timeout tz umask unsetenv use-api-socket volume-driver"
)
_REFUSED_SHORT: dict[str, str] = {}
_HINTS = {
    "link": "containers of a network of pybuild network find one another by name",
}


def _refused() -> dict[str, str | None]:
    names = {f"--{name}": _HINTS.get(name) for name in _REFUSED_LONG.split()}
    return names | {f"-{letter}": _HINTS.get(name) for letter, name in _REFUSED_SHORT.items()}


class RunCommand(Command):
    """A command whose options end at its first argument, and whose failures have status 125."""

    allow_interspersed_args = False
    refused: ClassVar[Mapping[str, str | None]] = _refused()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.show()
        except PybuildError as error:
            failure.report(error)
        raise click.exceptions.Exit(EXIT_RUN_ENGINE)

    def invoke(self, ctx: click.Context) -> int:
        try:
            status: int = super().invoke(ctx)
        except (ProgramNotFoundError, ProgramNotExecutableError) as error:
            return failure.report(error)
        except Exception as error:  # noqa: BLE001 - failure.report tells bugs from the rest
            return EXIT_BUG if failure.report(error) == EXIT_BUG else EXIT_RUN_ENGINE
        return status
