"""The devices of this machine, as a privileged container gets them."""

from __future__ import annotations

import os
import stat

from builder.runtime.ociruntime.place import DeviceNode

_OWN_DIRECTORIES = frozenset({"pts", "shm", "mqueue", "fd", "hugepages"})
"""Directories of /dev that each container has its own of."""

_USUAL = frozenset(
    f"/dev/{name}"
    for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)
"""What a runtime makes by itself."""


def host_devices() -> tuple[DeviceNode, ...]:
    """All device nodes below /dev that a container does not have anyway, sorted by path."""
    found: list[DeviceNode] = []
    for directory, subdirectories, files in os.walk("/dev"):
        if directory == "/dev":
            subdirectories[:] = [name for name in subdirectories if name not in _OWN_DIRECTORIES]
        for name in files:
            path = os.path.join(directory, name)
            node = _node(path) if path not in _USUAL else None
            if node is not None:
                found.append(node)
    return tuple(sorted(found, key=lambda node: node.path))


def _node(path: str) -> DeviceNode | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:  # unplugged meanwhile
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return DeviceNode(
        kind="c" if stat.S_ISCHR(status.st_mode) else "b",
        path=path,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )
