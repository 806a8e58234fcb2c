"""`pybuild update`."""

from __future__ import annotations

import click

from builder.cli.command import Command
from builder.cli.each import for_each, store
from builder.cli.run import Value, click_option
from builder.cli.run_options_limits import UPDATABLE, updated_limits
from builder.commands.update import UpdateRequest, update_container
from builder.errors import UsageError
from builder.runtime.policies import parse_restart_policy


def _callback(containers: tuple[str, ...], restart: str, **values: Value) -> int:
    names = {option.name.replace("-", "_"): option.name for option in UPDATABLE}
    texts = {names[key]: value for key, value in values.items() if isinstance(value, str)}
    if not (texts or restart):
        raise UsageError("update: nothing is to be changed", hint="give a limit, or --restart")
    request = UpdateRequest(
        limits_of=lambda limits: updated_limits(limits, texts, {}) if texts else limits,
        restart=parse_restart_policy(restart) if restart else None,
    )
    with store(mounts=True) as engine:
        return for_each(containers, lambda name: update_container(engine, name, request))


command = Command(
    "update",
    callback=_callback,
    params=[
        click.Argument(["containers"], nargs=-1, required=True, metavar="CONTAINER..."),
        *map(click_option, UPDATABLE),
        click.Option(
            ["--restart"],
            default="",
            metavar="POLICY",
            help="no, on-failure[:N], always or unless-stopped.",
        ),
    ],
    help="Change limits and the restart policy of containers, at once where they run.",
)
