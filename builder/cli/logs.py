"""`pybuild logs`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import TypedDict, Unpack

import click

from builder.cli.command import Command
from builder.commands.logs import logs
from builder.errors import UsageError
from builder.runtime.logentries import LogEntry
from builder.runtime.logs import LogQuery
from builder.runtime.moments import parse_moment_ns, rfc3339_nano
from builder.settings import settings_from
from builder.wiring import open_engine


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    container: str
    follow: bool
    timestamps: bool
    details: bool
    since: str
    until: str
    tail: str


@click.command(cls=Command)
@click.argument("container")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it writes, to its end.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@click.option("--details", is_flag=True, help="Show what --log-opt labels and env put in.")
@click.option("--since", default="", metavar="TIME", help="Lines since then: 10m, or a date.")
@click.option("--until", default="", metavar="TIME", help="Lines until then.")
@click.option("-n", "--tail", default="all", metavar="N", help="The last N lines alone (all).")
def command(**arguments: Unpack[Arguments]) -> None:
    """Show what a container has written: to stdout what went there, the rest to stderr."""
    query = _query(arguments)
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, mounts=False) as engine:
        _show(logs(engine, arguments["container"], query), arguments)


def _query(arguments: Arguments) -> LogQuery:
    tail = arguments["tail"]
    count: int | None = None
    if tail not in {"all", "-1"}:
        if not (tail.isascii() and tail.isdecimal()):
            raise UsageError(f'logs: --tail "{tail[:50]}" is not a number', hint="or all")
        count = int(tail)
    return LogQuery(
        since_ns=_moment_ns(arguments["since"], "--since") or 0,
        until_ns=_moment_ns(arguments["until"], "--until"),
        tail=count,
        follow=arguments["follow"],
    )


def _moment_ns(text: str, option: str) -> int | None:
    return parse_moment_ns(text, now_ns=time.time_ns(), option=option) if text else None


def _show(entries: Iterable[LogEntry], arguments: Arguments) -> None:
    """What else is to be shown stands before a line, not before each piece of a long one."""
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    within_line = {"stdout": False, "stderr": False}
    before = "stdout"
    for entry in entries:
        if entry.stream != before:  # where both go to one place, the order is to be seen
            streams[before].flush()
            before = entry.stream
        prefix = "" if within_line[entry.stream] else _prefix(entry, arguments)
        within_line[entry.stream] = not entry.text.endswith("\n")
        stream = streams[entry.stream]
        stream.write((prefix + entry.text).encode("utf-8", "replace"))
        if arguments["follow"]:
            stream.flush()


def _prefix(entry: LogEntry, arguments: Arguments) -> str:
    parts: list[str] = []
    if arguments["timestamps"]:
        parts.append(rfc3339_nano(entry.time_ns))
    if arguments["details"]:
        parts.append(",".join(f"{name}={value}" for name, value in entry.attributes))
    return "".join(f"{part} " for part in parts)
