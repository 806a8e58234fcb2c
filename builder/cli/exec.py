"""`pybuild exec` as click shows it; a plain command line goes past click: builder.cli.exec_line."""

from __future__ import annotations

import click

from builder.cli.exec_line import OPTIONS, run
from builder.cli.run import Value, click_option, line_of
from builder.cli.run_options import RunCommand


class _Exec(RunCommand):
    refused = {"--preserve-fds": None, "-l": None, "--latest": None}  # noqa: RUF012 - as its base


def _callback(container: str, command: str, args: tuple[str, ...], **values: Value) -> int:
    return run(line_of(container, (command, *args), values, OPTIONS))


command = _Exec(
    "exec",
    callback=_callback,
    params=[
        *map(click_option, OPTIONS),
        click.Argument(["container"]),
        click.Argument(["command"]),
        click.Argument(["args"], nargs=-1, metavar="[ARG]...", type=click.UNPROCESSED),
    ],
    context_settings={"help_option_names": ["--help"]},
    help="""Run COMMAND in a container that runs; its exit status is this program's.

    125: COMMAND was not started; 126: it can't be executed; 127: there is no such COMMAND. What is
    not said is as with the container's first process: user, directory, variables, confinement.
    """,
)
