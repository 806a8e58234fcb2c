"""The options of `run`, `create` and `update` that limit a container, and what they ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from builder.cli.run_words import Line, repeated, single, switch
from cache.record import record, replace

if TYPE_CHECKING:  # only what a line needs is imported: most lines limit nothing
    from builder.runtime.limits import Limits

UPDATABLE = (
    single("-m", "--memory", metavar="SIZE", text="Memory; at least 6m."),
    single("--memory-swap", metavar="SIZE", text="Memory and swap; -1: no limit (twice --memory)."),
    single("--memory-reservation", metavar="SIZE", text="Memory that it keeps when it gets short."),
    single("--cpus", metavar="NUMBER", text="Processors: 1.5."),
    single("-c", "--cpu-shares", metavar="NUMBER", text="Share of the processors (1024)."),
    single("--cpu-period", metavar="US", text="Period of --cpu-quota (100000)."),
    single("--cpu-quota", metavar="US", text="Processor time in a period."),
    single("--cpuset-cpus", metavar="LIST", text="Processors to run on: 0-2,4."),
    single("--cpuset-mems", metavar="LIST", text="Memory nodes to use: 0,1."),
    single("--pids-limit", metavar="NUMBER", text="Processes; -1: no limit."),
    single("--blkio-weight", metavar="NUMBER", text="Share of the disks, 10 to 1000."),
)
"""Those that `update` has too."""

_RATE = "DEVICE:RATE"

OPTIONS = (
    *UPDATABLE,
    single("--memory-swappiness", metavar="0-100", text="How readily it is swapped out."),
    switch("--oom-kill-disable", text="Let it wait when memory runs out, not be killed."),
    single("--oom-score-adj", metavar="NUMBER", text="How soon it is killed, -1000 to 1000."),
    repeated("--device-read-bps", metavar=_RATE, text="Bytes a second that it may read."),
    repeated("--device-write-bps", metavar=_RATE, text="Bytes a second that it may write."),
    repeated("--device-read-iops", metavar=_RATE, text="Reads a second."),
    repeated("--device-write-iops", metavar=_RATE, text="Writes a second."),
    repeated("--device", metavar="SRC[:DST[:rwm]]", text="A device of this machine."),
    repeated("--device-cgroup-rule", metavar="RULE", text="Devices it may use: c 189:* rwm."),
    single("--cgroup-parent", metavar="PATH", text="Control group to put its own below."),
    repeated("--ulimit", metavar="NAME=SOFT[:HARD]", text="A resource limit."),
    single("--shm-size", metavar="SIZE", text="Size of /dev/shm (64m)."),
)


def limits_of(line: Line) -> Limits:
    """The limits that the line asks for."""
    from builder.runtime.limits import Limits

    names = {option.name for option in OPTIONS}
    if names.isdisjoint({*line.values, *line.lists, *line.switches}):
        return Limits()
    _check_values(names, line.values)
    from builder.runtime.limit_options import parse_limits

    return parse_limits(line.values, line.lists, line.switches, ThisMachine())


def _check_values(names: set[str], values: Mapping[str, str]) -> None:
    from builder.runtime.errors import InvalidOptionError

    for name in sorted(names):
        if values.get(name) == "":
            raise InvalidOptionError(f"--{name} is empty")


def updated_limits(
    limits: Limits, values: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]
) -> Limits:
    """`limits` with what the options of `update` say put in."""
    from builder.runtime.limit_options import parse_group_limits

    group = parse_group_limits(values, lists, ThisMachine(), limits.group)
    return replace(limits, group=group)


@record
class ThisMachine:
    """Implements `limit_options.Machine`."""

    @property
    def cpu_count(self) -> int:
        return len(os.sched_getaffinity(0))

    @property
    def cpus(self) -> frozenset[int]:
        return _online("/sys/devices/system/cpu/online")

    @property
    def mems(self) -> frozenset[int]:
        return _online("/sys/devices/system/node/online")


def _online(path: str) -> frozenset[int]:
    from builder.runtime.limit_options import parse_set

    try:
        with open(path, encoding="ascii") as file:
            return parse_set(file.read()) or frozenset({0})
    except OSError:  # a kernel without memory nodes, or a container without /sys
        return frozenset({0})
