"""The command line of `run` without click, whose import takes longer than a container's start.

`OPTIONS` is the one list of them: builder.cli.run makes click's options of it. A plain command line
is read here; one that click must explain (a mistake, `--help`) is left to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.cli import (
    run_options_attach,
    run_options_files,
    run_options_life,
    run_options_limits,
    run_options_net,
    run_options_oci,
    run_options_sec,
)
from builder.cli.run_status import status_of
from builder.cli.run_words import Line, read, repeated, single, switch
from builder.errors import EXIT_DONE
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
    *run_options_oci.OPTIONS,
)


def quick(words: Sequence[str]) -> int | None:
    """Run the plain command line; the exit status. None where it is left to click."""
    line = read(words, OPTIONS)
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
        return status_of(error)


def _shown(outcome: RunOutcome) -> int:
    if outcome.announced:
        print(outcome.container_id)
    return EXIT_DONE if outcome.exit_code is None else outcome.exit_code


def _warn(event: Event) -> None:
    from builder.cli.warn import warn

    warn(event)
