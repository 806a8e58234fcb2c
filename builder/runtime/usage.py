"""What a running container uses: by its control group, where it has none by its processes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.kernel.cgroup import ControlGroup
from builder.runtime.container import ContainerState
from builder.runtime.liveness import descendants
from builder.sandbox.groupusage import group_usage
from cache.record import record

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@record
class Usage:
    """At one moment; counters since the container's start."""

    cpu_ns: int
    memory_bytes: int
    memory_limit_bytes: int  # the machine's memory where there is no lower one
    received_bytes: int  # by interfaces of the container's own
    sent_bytes: int
    read_bytes: int
    written_bytes: int
    processes: int  # threads count too


def container_processes(state: ContainerState) -> tuple[int, ...]:
    """The processes of a running container, as this machine counts them, the first one first.

    Without a control group: those of its pid namespace, which `exec` began too, and those below.
    """
    pids = ControlGroup.of_texts(state.cgroup).processes()
    if not pids:
        pids = (*descendants(state.pid), *_in_namespace_of(state.pid))
    others = sorted({pid for pid in pids if pid not in {0, state.pid}})
    return (state.pid, *others)


def _in_namespace_of(pid: int) -> list[int]:
    namespace = _namespace(pid, "pid")
    if not namespace or namespace == _namespace(os.getpid(), "pid"):
        return []
    others = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [other for other in others if _namespace(other, "pid") == namespace]


def _namespace(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:  # ended, or another user's
        return ""


def usage_of(state: ContainerState) -> Usage:
    """What the container uses now; nothing where it runs no more."""
    group = group_usage(ControlGroup.of_texts(state.cgroup))
    known = (group.cpu_ns, group.memory_bytes, group.processes)
    counted = _Sum(0, 0, 0) if None not in known else _sum_of(container_processes(state))
    received, sent = _network(state.pid)
    total = _machine_memory()
    return Usage(
        cpu_ns=counted.cpu_ns if group.cpu_ns is None else group.cpu_ns,
        memory_bytes=counted.memory_bytes if group.memory_bytes is None else group.memory_bytes,
        memory_limit_bytes=min(group.memory_limit_bytes or total, total),
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=group.read_bytes,
        written_bytes=group.written_bytes,
        processes=counted.threads if group.processes is None else group.processes,
    )


@record
class _Sum:
    cpu_ns: int
    memory_bytes: int
    threads: int


def _sum_of(pids: Iterable[int]) -> _Sum:
    """Of /proc/PID/stat: times of children that were waited for count with their parent."""
    ticks = pages = threads = 0
    for pid in pids:
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 21:
            ticks += sum(map(int, fields[11:15]))
            threads += int(fields[17])
            pages += int(fields[21])
    return _Sum(ticks * _TICK_NS, pages * _PAGE_BYTES, threads)


def _network(pid: int) -> tuple[int, int]:
    """What its interfaces got and sent; nothing for those of the machine itself."""
    if _namespace(pid, "net") in {"", _namespace(os.getpid(), "net")}:
        return 0, 0
    received = sent = 0
    for line in _text(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, counts = line.partition(":")
        fields = counts.split()
        if name.strip() != "lo" and len(fields) > 8:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
