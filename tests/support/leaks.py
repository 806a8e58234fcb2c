"""What a test may not leave behind: mounts, processes, control groups, locks, unfinished files."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 3.0  # a killed process is gone a little after the kill
CGROUPS = Path("/sys/fs/cgroup")
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent has ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@dataclass(frozen=True)
class Traces:
    """What is there of mounts, processes and control groups."""

    mounts: frozenset[str]
    processes: frozenset[str]
    control_groups: frozenset[str]

    def since(self, before: Traces) -> list[str]:
        return [
            *(f"mount: {line}" for line in sorted(self.mounts - before.mounts)),
            *(f"process: {line}" for line in sorted(self.processes - before.processes)),
            *(f"cgroup: {line}" for line in sorted(self.control_groups - before.control_groups)),
        ]


def traces() -> Traces:
    """Mounts of this namespace, descendants of this process, abandoned control groups."""
    descendants = _descendants(os.getpid())
    return Traces(
        frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        frozenset(map(_describe, descendants)),
        frozenset(_control_groups()),
    )


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        parent = _parent(int(name)) if name.isdigit() else None
        if parent is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = [child for child in children.get(waiting.pop(), []) if not _reaped(child)]
        found += below
        waiting += below
    return found


def _parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[1])


def _reaped(pid: int) -> bool:
    """Whether this was an adopted child that has ended; then it is gone afterwards."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "Z" and os.waitpid(pid, os.WNOHANG)[0] == pid
    except (OSError, ChildProcessError):
        return False


def _describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return f"{pid} {words or Path(f'/proc/{pid}/comm').read_text()}".strip()
    except OSError:
        return str(pid)


def _control_groups() -> set[str]:
    """Control groups named pybuild that nothing runs in: a leak, or one just being made."""
    found: set[str] = set()
    for parent, directories, _ in os.walk(CGROUPS):
        found |= {os.path.join(parent, name) for name in directories if "pybuild" in name}
    return {path for path in found if _is_empty(Path(path))}


def _is_empty(control_group: Path) -> bool:
    try:
        return not (control_group / "cgroup.procs").read_text()
    except OSError:
        return False  # gone meanwhile


def leaks_since(before: Traces) -> list[str]:
    """What is there now and wasn't before, after a moment's grace."""
    deadline = time.monotonic() + GRACE_S
    while (found := traces().since(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def unfinished_in(store: Path) -> list[str]:
    """Entries of the store's locks/ and tmp/: there are none while nothing runs."""
    folders = [store / "locks", store / "tmp"]
    return [str(entry) for folder in folders if folder.is_dir() for entry in folder.iterdir()]
