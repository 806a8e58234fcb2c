"""What a control group uses, as its files say, in either version."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.kernel.cgroup import ControlGroup
from cache.record import record


@record
class GroupUsage:
    """Of all processes of a group together; None for what is counted nowhere."""

    cpu_ns: int | None  # since the group was made
    memory_bytes: int | None  # without the page cache that can be given back at once
    memory_limit_bytes: int | None  # None: no limit
    processes: int | None  # threads count too
    read_bytes: int  # of disks
    written_bytes: int


def group_usage(group: ControlGroup) -> GroupUsage:
    """What it uses now. A group that is gone uses nothing."""
    read, written = _disks(group)
    return GroupUsage(
        cpu_ns=_cpu_ns(group),
        memory_bytes=_memory(group),
        memory_limit_bytes=_memory_limit(group),
        processes=_number(_file(group, "pids", "pids.current", "pids.current")),
        read_bytes=read,
        written_bytes=written,
    )


def _file(group: ControlGroup, controller: str, version_1: str, version_2: str) -> str:
    directory = group.directory_of(controller)
    return f"{directory}/{version_1}" if directory else f"{group.unified}/{version_2}"


def _cpu_ns(group: ControlGroup) -> int | None:
    directory = group.directory_of("cpuacct")
    if directory:
        return _number(f"{directory}/cpuacct.usage")
    microseconds = _fields(f"{group.unified}/cpu.stat").get("usage_usec")
    return None if microseconds is None else microseconds * 1000


def _memory(group: ControlGroup) -> int | None:
    used = _number(_file(group, "memory", "memory.usage_in_bytes", "memory.current"))
    if used is None:
        return None
    counts = _fields(_file(group, "memory", "memory.stat", "memory.stat"))
    unused_cache = counts.get("total_inactive_file", counts.get("inactive_file", 0))
    return max(used - unused_cache, 0)


def _memory_limit(group: ControlGroup) -> int | None:
    return _number(_file(group, "memory", "memory.limit_in_bytes", "memory.max"))


def _disks(group: ControlGroup) -> tuple[int, int]:
    directory = group.directory_of("blkio")
    if directory:
        path = f"{directory}/blkio.throttle.io_service_bytes_recursive"
        return _sums(_lines(path))
    read = written = 0
    for line in _lines(f"{group.unified}/io.stat"):
        for word in line.split()[1:]:
            key, _, count = word.partition("=")
            read += int(count) * (key == "rbytes")
            written += int(count) * (key == "wbytes")
    return read, written


def _sums(lines: Iterable[str]) -> tuple[int, int]:
    """Of lines `8:0 Read 512`."""
    sums = {"Read": 0, "Write": 0}
    for line in lines:
        match line.split():
            case [_, "Read" | "Write" as what, count]:
                sums[what] += int(count)
            case _:
                continue
    return sums["Read"], sums["Write"]


def _fields(path: str) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(path: str) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None  # "max": none


def _lines(path: str) -> list[str]:
    if not os.path.isabs(path):
        return []
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:  # ENOENT, ENODEV: the group has not this controller, or is gone
        return []
