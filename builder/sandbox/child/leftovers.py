"""Processes that a container leaves behind where its pid namespace is not its own.

The end of a pid namespace's first process is the end of all others. In the host's, or another
container's, they would go on. Each container has a mount namespace of its own: by that they are
known, whoever their parent is now.
"""

from __future__ import annotations

import os

from builder.kernel.process import SIGKILL

_ROUNDS = 1000  # a program that forks as fast as it can loses long before


def mount_namespace_of(pid: int) -> str:
    """Names the mount namespace; "" where the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def outlives(pid: int) -> str:
    """The mount namespace of what may outlive `pid`; "" where that is the first of its own pids."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    inside = [line.split()[-1] for line in lines if line.startswith(b"NSpid:")]
    return "" if inside == [b"1"] else mount_namespace_of(pid)


def end_all(mount_namespace: str, own_children: frozenset[int]) -> None:
    """Kill what is left in it; returns when nothing is. "" names none.

    What this process has adopted of it is reaped, and none of `own_children`: they have others
    who wait for them. A control group can't be removed before.
    """
    if not mount_namespace or mount_namespace == mount_namespace_of(os.getpid()):
        return
    for _ in range(_ROUNDS):
        left = [pid for pid in _processes() if mount_namespace_of(pid) == mount_namespace]
        for pid in left:
            _kill(pid)
        for pid in _children() - own_children:
            _reap(pid, wait=pid in left)
        if not left:
            return


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _children() -> frozenset[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as file:
        return frozenset(map(int, file.read().split()))


def _reap(pid: int, *, wait: bool) -> None:
    try:
        os.waitpid(pid, 0 if wait else os.WNOHANG)
    except ChildProcessError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, SIGKILL)
    except ProcessLookupError:
        return
