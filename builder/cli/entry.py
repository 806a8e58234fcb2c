"""Dispatch: which words are a command, and what happens with its errors."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

import click

from builder.cli import failure
from builder.cli.main import COMMANDS
from builder.errors import EXIT_DONE, EXIT_USAGE
from builder.version import VERSION

DEFAULT_COMMAND = "build"


class LazyGroup(click.Group):
    """Knows its commands by name and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="pybuild COMMAND --help tells the options of a command.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.version_option(VERSION, prog_name="pybuild", message="%(prog)s %(version)s")
def group(debug: bool) -> None:
    """Build OCI images from Dockerfiles and run them: no daemon, root or not."""
    if debug:
        os.environ["PYBUILD_DEBUG"] = "1"


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `build` put in where no command is named.

    >>> with_default_command(["-t", "app", "."])
    ['build', '-t', 'app', '.']
    """
    known = {"-h", "--help", "--version", "--debug"}
    for position, word in enumerate(arguments):
        if word == "--debug":
            continue
        if word in COMMANDS or word in known:
            return list(arguments)
        return [*arguments[:position], DEFAULT_COMMAND, *arguments[position:]]
    return list(arguments) or ["--help"]


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the process's exit status."""
    words = with_default_command(arguments)
    try:
        status = group.main(args=words, prog_name="pybuild", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except click.Abort:
        return failure.report(KeyboardInterrupt())
    except BaseException as error:  # noqa: BLE001 - the one place where errors become text
        return failure.report(error)
    return status if isinstance(status, int) else EXIT_DONE
