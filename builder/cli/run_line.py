"""The command line of `run` without click, whose import takes longer than a container's start.

`OPTIONS` is the one list of them: builder.cli.run makes click's options of it. A plain command line
is read here; one that click must explain (a mistake, `--help`) is left to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from builder.cli import (
    run_options_attach,
    run_options_files,
    run_options_life,
    run_options_limits,
    run_options_net,
    run_options_sec,
)
from builder.cli.run_words import Line, Option, repeated, single, switch
from builder.errors import EXIT_BUG, EXIT_DONE, EXIT_RUN_ENGINE
from builder.settings import settings_from
from builder.wiring import open_engine

if TYPE_CHECKING:  # it takes time, and `execute` has none
    from builder.commands.run import RunOutcome
    from builder.events import Event


OPTIONS = (
    switch("--rm", text="Remove the container and its volumes when it ends."),
    switch("-i", "--interactive", text="Pass stdin on."),
    switch("-t", "--tty", text="Give the container a terminal."),
    repeated("-e", "--env", metavar="K[=V]", text="A variable; K: the caller's."),
    repeated("--env-file", metavar="FILE", text="A file of variables, K=V a line."),
    single("-w", "--workdir", metavar="DIR", text="Working directory; made if missing."),
    single("-u", "--user", metavar="USER[:GROUP]", text="User and group, by name or number."),
    single("--name", metavar="NAME", text="Name of the container."),
    single(
        "--entrypoint",
        metavar="PROGRAM",
        text='Instead of the image\'s entrypoint; "" takes it away.',
    ),
    *run_options_net.OPTIONS,
    switch("--read-only", text="Forbid changes of the root file system."),
    *run_options_sec.OPTIONS,
    repeated("-l", "--label", metavar="K=V", text="A label of the container."),
    single("--cidfile", metavar="FILE", text="Write the container's id to a new FILE."),
    *run_options_files.OPTIONS,
    *run_options_attach.OPTIONS,
    *run_options_life.OPTIONS,
    *run_options_limits.OPTIONS,
)


def read(words: Sequence[str]) -> Line | None:
    """What the words after `run` say; None where they are not plain, right or wrong."""
    by_name = {name: option for option in OPTIONS for name in option.names}
    switches: set[str] = set()
    values: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        pieces = _pieces(rest.pop(0), by_name)
        if pieces is None:
            return None
        for option, attached in pieces:
            if option.kind == "switch":
                switches.add(option.name)
                continue
            if attached is None and not rest:
                return None
            value = rest.pop(0) if attached is None else attached
            if option.kind == "value":
                values[option.name] = value
            else:
                lists[option.name] = (*lists.get(option.name, ()), value)
    if not rest:
        return None
    return Line(rest[0], tuple(rest[1:]), frozenset(switches), values, lists)


def _pieces(word: str, by_name: Mapping[str, Option]) -> list[tuple[Option, str | None]] | None:
    """The options that a word holds, each with the value in it if there is one."""
    if word.startswith("--"):
        name, separator, value = word.partition("=")
        option = by_name.get(name)
        if option is None or (separator and option.kind == "switch"):
            return None
        return [(option, value if separator else None)]
    pieces: list[tuple[Option, str | None]] = []
    for position, letter in enumerate(word[1:], start=1):
        option = by_name.get(f"-{letter}")
        if option is None:
            return None
        if option.kind != "switch":
            attached = word[position + 1 :]
            if attached.startswith("="):
                return None
            return [*pieces, (option, attached or None)]
        pieces.append((option, None))
    return pieces or None


def quick(words: Sequence[str]) -> int | None:
    """Run the plain command line; the exit status. None where it is left to click."""
    line = read(words)
    return None if line is None else execute(line)


def execute(line: Line) -> int:
    """Run the container and show what went wrong; the exit status."""
    try:
        settings = settings_from(os.environ, euid=os.geteuid())
        with open_engine(settings, emit=_warn, runs=True) as engine:
            # here and not above: meanwhile the sandbox gets ready
            from builder.cli.run_request import request_of
            from builder.commands.run import run

            return _shown(run(engine, request_of(line)))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - `failure` tells bugs apart
        return _status_of(error)


def _shown(outcome: RunOutcome) -> int:
    if outcome.announced:
        print(outcome.container_id)
    return EXIT_DONE if outcome.exit_code is None else outcome.exit_code


def _status_of(error: BaseException) -> int:
    from builder.cli import failure
    from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError

    status = failure.report(error)
    if isinstance(error, (ProgramNotFoundError, ProgramNotExecutableError, KeyboardInterrupt)):
        return status
    return EXIT_BUG if status == EXIT_BUG else EXIT_RUN_ENGINE


def _warn(event: Event) -> None:
    from builder.cli.warn import warn

    warn(event)
