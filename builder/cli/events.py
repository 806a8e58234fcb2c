"""`pybuild events`."""

from __future__ import annotations

import os
import sys
import time

import click

from builder.cli.command import Command
from builder.commands.events import EventsRequest, events
from builder.errors import UsageError
from builder.runtime.journal import FILTERS, Event, EventFilter, event_document
from builder.runtime.moments import parse_moment_ns
from builder.settings import settings_from
from builder.wiring import open_engine

_MAPS = frozenset({"Attributes"})


@click.command(cls=Command)
@click.option("--since", default="", metavar="TIME", help="Events since then, too: 10m, or a date.")
@click.option("--until", default="", metavar="TIME", help="End then.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Those with this alone: {', '.join(FILTERS)}.",
)
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="A Go template, or json."
)
def command(since: str, until: str, filters: tuple[str, ...], template: str) -> None:
    """Show what happens to containers, images, volumes and networks, as it happens."""
    request = EventsRequest(
        since_ns=_moment_ns(since, "--since"),
        until_ns=_moment_ns(until, "--until"),
        wanted=EventFilter(tuple(map(_filter, filters))),
    )
    with open_engine(settings_from(os.environ, euid=os.geteuid()), mounts=False) as engine:
        for event in events(engine, request):
            click.echo(_text(event, template))
            sys.stdout.flush()


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise UsageError(
            f'--filter "{text[:100]}" is not known',
            hint=f"NAME=VALUE with one of {', '.join(FILTERS)}",
        )
    return name, value


def _moment_ns(text: str, option: str) -> int | None:
    return parse_moment_ns(text, now_ns=time.time_ns(), option=option) if text else None


def _text(event: Event, template: str) -> str:
    if not template:
        attributes = ", ".join(f"{name}={value}" for name, value in event.attributes)
        shown = f" ({attributes})" if attributes else ""
        return f"{_local(event.time_ns)} {event.kind} {event.action} {event.actor_id}{shown}"
    from builder.cli.gotemplate import format_value
    from builder.cli.gotemplate_values import fields_of

    document = event_document(event)
    if template != "json":  # Go's names of the fields
        names = {"status": "Status", "id": "ID", "from": "From", "scope": "Scope"}
        names |= {"time": "Time", "timeNano": "TimeNano"}
        document = {names.get(name, name): value for name, value in document.items()}
    return format_value(template, fields_of(document, _MAPS)).removesuffix("\n")


def _local(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, in local time."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    shown = "Z" if moment.tm_gmtoff == 0 else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{fraction:09}{shown}"
