"""The command line of `exec` without click, as builder.cli.run_line has it for `run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from builder.cli.run_status import status_of
from builder.cli.run_words import Line, read, repeated, single, switch
from builder.settings import settings_from
from builder.wiring import open_container_paths

OPTIONS = (
    switch("-d", "--detach", text="Don't wait for the process, and read nothing of it."),
    switch("-i", "--interactive", text="Pass stdin on."),
    switch("-t", "--tty", text="Give the process a terminal."),
    repeated("-e", "--env", metavar="K[=V]", text="A variable; K: the caller's."),
    repeated("--env-file", metavar="FILE", text="A file of variables, K=V a line."),
    single("-u", "--user", metavar="USER[:GROUP]", text="User and group, by name or number."),
    single("-w", "--workdir", metavar="DIR", text="Working directory."),
    switch("--privileged", text="All capabilities, no seccomp."),
    single("--detach-keys", metavar="KEYS", text="Keys that leave a terminal (ctrl-p,ctrl-q)."),
)


def quick(words: Sequence[str]) -> int | None:
    """Do what the plain command line says; the exit status. None where it is left to click."""
    line = read(words, OPTIONS)
    return None if line is None or not line.args else run(line)


def run(line: Line) -> int:
    """Run the process and show what went wrong; the exit status."""
    from builder.cli.exec_request import request_of
    from builder.commands.execute import execute

    try:
        settings = settings_from(os.environ, euid=os.geteuid())
        with open_container_paths(settings) as find:
            return execute(find, request_of(line), _warn)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - `failure` tells bugs apart
        return status_of(error)


def _warn(text: str) -> None:
    print(f"WARNING: {text}", file=sys.stderr)
