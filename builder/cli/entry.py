"""Dispatch: which words are a command, and what happens with its errors."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import click

from builder.cli import failure
from builder.cli.main import COMMANDS, GROUPS
from builder.cli.termination import end_in_order
from builder.errors import EXIT_DONE, EXIT_USAGE, UsageError
from builder.version import VERSION

if TYPE_CHECKING:  # only completion needs it
    from click.shell_completion import CompletionItem

DEFAULT_COMMAND = "build"
_HELP = "--help"
_HELP_OPTIONS = ["-h", _HELP]
_OWN_OPTIONS = frozenset({*_HELP_OPTIONS, "-v", "--version"})


class UnknownCommandError(UsageError):
    """The first word is no command, and nothing that could be built."""

    code: ClassVar[str] = "unknown-command"


class LazyGroup(click.Group):
    """Knows its commands by name and imports a command's module when it is called."""

    targets: Mapping[str, str]
    """Name in this group → name in COMMANDS and words to go before the caller's."""

    def target(self, name: str) -> tuple[str, list[str]]:
        """The name in COMMANDS of a command here, and the words to go before the caller's."""
        words = self.targets[name].split()
        own = " ".join(words[:2])  # "volume create": a command that only its group has
        return (own, words[2:]) if own in COMMANDS else (words[0], words[1:])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.targets:
            return None
        module, _ = COMMANDS[self.target(cmd_name)[0]]
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        before = self.target(name)[1] if name is not None and name in self.targets else []
        return name, command, [*before, *rest]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines()))

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each command's name and what it does."""
        for name in self.targets:
            yield name, COMMANDS[self.target(name)[0]][1]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        lines = [line for line in self.lines() if line[0].startswith(incomplete)]
        return [CompletionItem(name, help=text) for name, text in lines] + options


class AliasGroup(LazyGroup):
    """A group of docker's, most of whose commands have names of their own here: `image ls`."""

    def __init__(self, name: str) -> None:
        self.targets = GROUPS[name]
        super().__init__(
            name,
            context_settings={"help_option_names": _HELP_OPTIONS},
            help=f"Docker's commands about a {name}; those that pybuild has by another name, too.",
        )

    def lines(self) -> Iterator[tuple[str, str]]:
        for name, text in super().lines():
            is_own = self.target(name)[0] == f"{self.name} {name}"
            yield name, text if is_own else f"pybuild {self.targets[name]}"


class MainGroup(LazyGroup):
    """All commands; `build` where the words name none."""

    targets: Mapping[str, str] = {name: name for name in COMMANDS if " " not in name}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_default_command(args))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in GROUPS:
            return AliasGroup(cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section("Docker's other names"):
            formatter.write_dl([(name, ", ".join(names)) for name, names in GROUPS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        groups = [CompletionItem(name) for name in GROUPS if name.startswith(incomplete)]
        return super().shell_complete(ctx, incomplete) + groups


@click.group(
    cls=MainGroup,
    context_settings={"help_option_names": _HELP_OPTIONS, "max_content_width": 100},
    epilog="`pybuild -t app .` is `pybuild build -t app .`; `pybuild help COMMAND` tells the "
    "options of a command.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.version_option(
    VERSION, "-v", "--version", prog_name="pybuild", message="%(prog)s %(version)s"
)
def group(debug: bool) -> None:
    """Build OCI images from Dockerfiles and run them: no daemon, root or not."""
    if debug:
        os.environ["PYBUILD_DEBUG"] = "1"


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `build` put in where no command is named, and `help` as an option.

    UnknownCommandError where the first word is neither a command nor a context.

    >>> with_default_command(["-t", "app", "."])
    ['build', '-t', 'app', '.']
    >>> with_default_command(["help", "run"])
    ['run', '--help']
    """
    position = next((at for at, word in enumerate(arguments) if word != "--debug"), None)
    if position is None:
        return [*arguments, _HELP]
    before, word, rest = arguments[:position], arguments[position], arguments[position + 1 :]
    if word == "help":
        if rest and not _is_command(rest[0]):
            raise _unknown(rest[0], f'there is no command "{rest[0]}"')
        return [*before, *rest, _HELP]
    if _is_command(word) or word in _OWN_OPTIONS:
        return list(arguments)
    if not _may_be_a_context(word):
        raise _unknown(word, f'"{word}" is neither a command nor a file or directory to build')
    return [*before, DEFAULT_COMMAND, word, *rest]


def _is_command(word: str) -> bool:
    return word in MainGroup.targets or word in GROUPS


def _may_be_a_context(word: str) -> bool:
    """Whether it is an option of `build`, a URL, a path, or a file or directory that exists."""
    return word.startswith("-") or "/" in word or ":" in word or os.path.exists(word)


def _unknown(word: str, message: str) -> UnknownCommandError:
    from difflib import get_close_matches

    near = next(iter(get_close_matches(word, [*MainGroup.targets, *GROUPS], n=1)), None)
    hint = f'did you mean "{near}"?' if near else "`pybuild --help` lists the commands"
    return UnknownCommandError(message, hint=hint)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the process's exit status."""
    end_in_order()
    try:
        status = group.main(args=list(arguments), prog_name="pybuild", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except click.Abort as abort:
        return failure.report(abort.__cause__ or KeyboardInterrupt())
    except BaseException as error:  # noqa: BLE001 - the one place where errors become text
        return failure.report(error)
    return status if isinstance(status, int) else EXIT_DONE
