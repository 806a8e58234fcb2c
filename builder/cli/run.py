"""`pybuild run` as click shows it; a plain command line goes past click: builder.cli.run_line."""

from __future__ import annotations

import click

from builder.cli.run_line import OPTIONS, execute
from builder.cli.run_options import RunCommand
from builder.cli.run_words import Line, Option

Value = bool | str | tuple[str, ...] | None


def _callback(image: str, args: tuple[str, ...], **values: Value) -> int:
    return execute(line_of(image, args, values))


def line_of(image: str, args: tuple[str, ...], values: dict[str, Value]) -> Line:
    """The line that click has read: `values` are by click's names of the options it knows."""
    switches: set[str] = set()
    texts: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for option in OPTIONS:
        match values.get(_identifier(option)):
            case True:
                switches.add(option.name)
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
