"""A command whose words are read as docker reads them, where click has other habits.

A switch takes `=true` and `=false`, a one-letter option `=VALUE`. An option of docker's that isn't
there is refused by its name, with what to do instead; turned off, it asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import click

from builder.errors import UnsupportedError

if TYPE_CHECKING:  # only completion needs it
    from click.shell_completion import CompletionItem

_TRUE = frozenset({"true", "1", "t", "T", "TRUE", "True"})
_FALSE = frozenset({"false", "0", "f", "F", "FALSE", "False"})


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """For an option's or argument's `shell_complete`: the shell completes names of files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


class Command(click.Command):
    """The class of each command; `refused` has docker's options that are refused: name → hint."""

    refused: ClassVar[Mapping[str, str | None]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # what a shell wants completed is no whole command line yet
            args = _Reader(self, ctx).plain(args)
        return super().parse_args(ctx, args)


class _Reader:
    """Words of a command line → the same as click takes them."""

    def __init__(self, command: Command, ctx: click.Context) -> None:
        self._command = command
        self._ctx = ctx
        self._options = {
            name: option
            for option in command.get_params(ctx)
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        }
        self._plain: list[tuple[str, click.Option | None]] = []  # words, each with its switch

    def plain(self, args: Sequence[str]) -> list[str]:
        rest = list(args)
        while rest:
            word = rest.pop(0)
            is_option = word.startswith("-") and word != "-"
            if word == "--" or not (is_option or self._command.allow_interspersed_args):
                rest.insert(0, word)
                break
            if not is_option:
                self._plain.append((word, None))
            elif self._take(word) and rest:
                self._plain.append((rest.pop(0), None))
        return [word for word, _ in self._plain] + rest

    def _take(self, word: str) -> bool:
        """Whether the next word is this option's value."""
        name, equals, value = word.partition("=")
        option = self._options.get(name)
        if not name.startswith("--") and not (equals and len(name) == 2):
            return self._take_letters(word)
        if option is None:
            if not self._refuse(name, value if equals else "true"):
                self._plain.append((word, None))
            return False
        if option.is_flag:
            self._switch(option, name, value if equals else "true")
            return False
        self._plain += [(name, None)] + [(value, None)] * bool(equals)
        return not equals

    def _take_letters(self, word: str) -> bool:
        self._plain.append((word, self._options.get(word)))
        for position, letter in enumerate(word[1:], start=1):
            option = self._options.get(f"-{letter}")
            if option is None:
                self._refuse(f"-{letter}", "true")
            elif not option.is_flag:
                return position == len(word) - 1
        return False

    def _switch(self, option: click.Option, name: str, value: str) -> None:
        if value in _TRUE:
            self._plain.append((name, option))
            return
        if value not in _FALSE:
            raise click.BadParameter(
                f'"{value}" is neither true nor false', ctx=self._ctx, param_hint=name
            )
        opposite = option.opts if name in option.secondary_opts else option.secondary_opts
        if opposite:
            self._plain.append((opposite[0], option))
        else:  # off is what it is without the word: the last one counts
            self._plain = [item for item in self._plain if item[1] is not option]

    def _refuse(self, name: str, value: str) -> bool:
        """UnsupportedError for an option that is refused; whether one was turned off."""
        if name not in self._command.refused:
            return False
        if value in _FALSE:
            return True
        raise UnsupportedError(
            f"{self._command.name}: {name} is not supported", hint=self._command.refused[name]
        )
