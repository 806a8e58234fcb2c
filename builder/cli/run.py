"""`pybuild run` as click shows it; a plain command line goes past click: builder.cli.run_line."""

from __future__ import annotations

from collections.abc import Sequence

import click

from builder.cli.run_line import OPTIONS, execute
from builder.cli.run_options import RunCommand
from builder.cli.run_words import Line, Option

Value = bool | str | tuple[str, ...] | None


def _callback(image: str, args: tuple[str, ...], **values: Value) -> int:
    return execute(line_of(image, args, values))


def line_of(
    image: str,
    args: tuple[str, ...],
    values: dict[str, Value],
    options: Sequence[Option] = OPTIONS,
) -> Line:
    """The line that click has read: `values` are by click's names of the options it knows."""
    switches: set[str] = set()
    texts: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for option in options:
        match values.get(_identifier(option)):
            case True if option.kind == "switch":
                switches.add(option.name)
            case False if option.kind == "on":
                switches.add(f"no-{option.name}")
            case str() as text:
                texts[option.name] = text
            case (_, *_) as several:
                lists[option.name] = several
            case _:
                continue
    return Line(image, args, frozenset(switches), texts, lists)


def _identifier(option: Option) -> str:
    return option.name.replace("-", "_")


def click_option(option: Option) -> click.Option:
    """The option as click takes it."""
    if option.kind == "on":
        both = f"--{option.name}/--no-{option.name}"
        return click.Option([both, _identifier(option)], default=True, help=option.help_text)
    return click.Option(
        [*option.names, _identifier(option)],
        is_flag=True if option.kind == "switch" else None,
        multiple=option.kind == "values",
        metavar=option.metavar or None,
        help=option.help_text,
    )


command = RunCommand(
    "run",
    callback=_callback,
    params=[
        *map(click_option, OPTIONS),
        click.Argument(["image"]),
        click.Argument(["args"], nargs=-1, metavar="[COMMAND] [ARG]...", type=click.UNPROCESSED),
    ],
    context_settings={"help_option_names": ["--help"]},
    help="""Run COMMAND in a new container of IMAGE; its exit status is this program's.

    125: the container was not started; 126: COMMAND can't be executed; 127: there is no such
    COMMAND; 128 + n: signal n ended it. Options stand before IMAGE.
    """,
)
