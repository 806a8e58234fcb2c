"""Whether a recorded process is still the one that runs: a pid alone is given away again."""

from __future__ import annotations

import os

from cache.record import record


@record
class ProcessIdentity:
    """Names one process among all that ever had its pid."""

    pid: int
    started: int  # clock ticks after boot
    boot_id: str


def identity_of(pid: int) -> ProcessIdentity | None:
    """The identity of what has this pid now; None where nothing has, or only its remains."""
    stat = _stat_fields(pid)
    if stat is None or stat[0] in {"Z", "X"}:
        return None
    return ProcessIdentity(pid, int(stat[19]), boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process runs (or sleeps, or is stopped)."""
    return identity.pid > 0 and identity_of(identity.pid) == identity


def boot_id() -> str:
    """The kernel's name for this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def descendants(pid: int) -> tuple[int, ...]:
    """All processes that `pid` began, directly or through others, itself first."""
    children: dict[int, list[int]] = {}
    for parent, child in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for known in found:
        found += children.get(known, [])
    return tuple(found)


def run_state(pid: int) -> str | None:
    """The kernel's letter for what the process does: "T" for stopped; None where it is gone."""
    stat = _stat_fields(pid)
    return stat[0] if stat else None


def _parents() -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat_fields(int(name))
            if stat is not None:
                pairs.append((int(stat[1]), int(name)))
    return pairs


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from field 3 on: the name in field 2 may hold anything, brackets too."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return content[content.rindex(b")") + 2 :].decode("ascii").split()
