"""The options of `build` that limit RUN steps, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

import click

from builder.cli import build_options
from builder.cli.run_options_limits import OPTIONS, ThisMachine
from builder.sandbox.api import DEFAULT_SHM_BYTES
from builder.sandbox.steplimits import StepLimits

_Decorated = TypeVar("_Decorated", bound=Callable[..., object])

_NAMES = (
    *("memory", "memory-swap", "cpus", "cpu-shares", "cpu-period", "cpu-quota"),
    *("cpuset-cpus", "cpuset-mems", "cgroup-parent"),
)


class LimitOptions(TypedDict):
    """What `with_limit_options` hands over."""

    memory: str | None
    memory_swap: str | None
    cpus: str | None
    cpu_shares: str | None
    cpu_period: str | None
    cpu_quota: str | None
    cpuset_cpus: str | None
    cpuset_mems: str | None
    cgroup_parent: str | None
    shm_size: str | None
    ulimits: tuple[str, ...]


def with_limit_options(command: _Decorated) -> _Decorated:
    """Those of `run` that `docker build` has too, for each RUN step."""
    command = click.option(
        "--ulimit",
        "ulimits",
        multiple=True,
        metavar="NAME=SOFT[:HARD]",
        help="A resource limit of RUN steps.",
    )(command)
    command = click.option(
        "--shm-size", metavar="SIZE", help="Size of /dev/shm in RUN steps (64m)."
    )(command)
    for option in reversed(OPTIONS):
        if option.name in _NAMES:
            help_text = f"RUN steps: {option.help_text[0].lower()}{option.help_text[1:]}"
            command = click.option(*option.names, metavar=option.metavar, help=help_text)(command)
    return command


def step_limits(options: LimitOptions) -> StepLimits:
    """The options' meaning. InvalidOptionError as for `run`."""
    values = {
        "memory": options["memory"],
        "memory-swap": options["memory_swap"],
        "cpus": options["cpus"],
        "cpu-shares": options["cpu_shares"],
        "cpu-period": options["cpu_period"],
        "cpu-quota": options["cpu_quota"],
        "cpuset-cpus": options["cpuset_cpus"],
        "cpuset-mems": options["cpuset_mems"],
    }
    given = {name: value for name, value in values.items() if value}
    limits = StepLimits(
        cgroup_parent=options["cgroup_parent"] or "",
        rlimits=build_options.ulimits_of(options["ulimits"]),
        shm_size_bytes=(
            build_options.size_in_bytes(options["shm_size"], "shm-size")
            if options["shm_size"]
            else DEFAULT_SHM_BYTES
        ),
    )
    if not given:
        return limits
    from builder.runtime.limit_options import parse_group_limits

    return StepLimits(
        parse_group_limits(given, {}, ThisMachine()),
        limits.cgroup_parent,
        limits.rlimits,
        limits.shm_size_bytes,
    )
