"""What of the kernel a process sees, and what of it is set for the process: plain data.

The lists of paths are Docker's. A path below /proc or /sys is looked for in the sandbox's own
mounts, any other one in the root filesystem.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal

from cache.record import record

Namespace = Literal["ipc", "pid", "uts", "cgroup"]
"""The kinds that a process can leave to the host's."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_PROCESSORS = "/sys/devices/system/cpu"


@cache
def masked_paths() -> tuple[str, ...]:
    """What no process in a sandbox may see, whether this machine has it or not."""
    return (*_MASKED_PATHS, *_throttling())


def _throttling() -> tuple[str, ...]:
    """What tells one machine's load from another's, a directory for each processor."""
    try:
        names = sorted(os.listdir(_PROCESSORS))
    except OSError:
        return ()
    processors = (name for name in names if name.startswith("cpu") and name[3:].isdigit())
    return tuple(f"{_PROCESSORS}/{name}/thermal_throttle" for name in processors)


@record
class Confinement:
    """The limits of a process besides its ids, capabilities and filter of system calls."""

    masked: tuple[str, ...] | None = None  # absolute; None: `masked_paths()`
    readonly: tuple[str, ...] = READONLY_PATHS
    sysctls: tuple[tuple[str, str], ...] = ()  # ("net.ipv4.ip_forward", "1"), in its namespaces
    apparmor: str = ""  # the profile that the program starts in; "": that of the caller
    selinux: str = ""  # the whole process label; "": that of the caller
    of_host: frozenset[Namespace] = frozenset()  # namespaces that it has no own ones of


UNCONFINED = Confinement(masked=(), readonly=())
"""Nothing masked, all settings writable."""
