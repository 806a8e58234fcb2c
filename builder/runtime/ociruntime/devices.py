"""The devices of this machine, as a runtime's document has them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from builder.runtime.ociruntime.place import OciDevice
from builder.sandbox.api import DeviceNode

_OWN_DIRECTORIES = frozenset({"pts", "shm", "mqueue", "fd", "hugepages"})
"""Directories of /dev that each container has its own of."""

_USUAL = frozenset(
    f"/dev/{name}"
    for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)
"""What a runtime makes by itself."""


def host_devices() -> tuple[OciDevice, ...]:
    """All nodes below /dev that a container does not have anyway, sorted: for a privileged one."""
    found: list[OciDevice] = []
    for directory, subdirectories, files in os.walk("/dev"):
        if directory == "/dev":
            subdirectories[:] = [name for name in subdirectories if name not in _OWN_DIRECTORIES]
        for name in files:
            path = os.path.join(directory, name)
            node = _device(path, path) if path not in _USUAL else None
            if node is not None:
                found.append(node)
    return tuple(sorted(found, key=lambda node: node.path))


def named_devices(nodes: Iterable[DeviceNode]) -> tuple[OciDevice, ...]:
    """The nodes that a process gets by name."""
    found = (_device(node.source, f"/dev/{node.path}") for node in nodes)
    return tuple(device for device in found if device is not None)


def _device(source: str, path: str) -> OciDevice | None:
    try:
        status = os.lstat(source)
    except FileNotFoundError:  # unplugged meanwhile
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return OciDevice(
        kind="c" if stat.S_ISCHR(status.st_mode) else "b",
        path=path,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )
