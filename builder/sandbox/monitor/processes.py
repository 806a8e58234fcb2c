"""What /proc tells of the container's processes."""

from __future__ import annotations

import os


def descendants(pid: int) -> tuple[int, ...]:
    """All processes that `pid` began, directly or through others, itself first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat_fields(int(name))
            if stat is not None:
                children.setdefault(int(stat[1]), []).append(int(name))
    found = [pid]
    for known in found:
        found += children.get(known, [])
    return tuple(found)


def run_state(pid: int) -> str:
    """The kernel's letter for what the process does: "T" for stopped; "" where it is gone."""
    stat = _stat_fields(pid)
    return stat[0] if stat else ""


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from field 3 on: the name in field 2 may hold anything, brackets too."""
    content = read_file(f"/proc/{pid}/stat")
    return content[content.rindex(b")") + 2 :].decode("ascii").split() if content else None


def read_file(path: str) -> bytes:
    """The content of a small file of the kernel's; b"" where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts: list[bytes] = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    except OSError:  # ESRCH: the process is gone
        return b""
    finally:
        os.close(fd)
