"""The limits of a build's processes, and a control group for one of them while it runs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from builder.kernel.cgroup import PREFIX, ControlGroup
from builder.sandbox import cgroup, grouplimits
from builder.sandbox.api import DEFAULT_SHM_BYTES
from builder.sandbox.errors import LimitError
from builder.sandbox.grouplimits import GroupLimits
from cache.record import field, record

_NAME = "build-"
_MAKING_S = 30.0


@record
class StepLimits:
    """What each process of a build may use. No part of what a step is: it is in no cache key."""

    group: GroupLimits = field(default_factory=GroupLimits)
    cgroup_parent: str = ""
    rlimits: tuple[tuple[str, int, int], ...] = ()  # name, soft, hard; -1 for no limit
    shm_size_bytes: int = DEFAULT_SHM_BYTES


@contextmanager
def step_group(limits: StepLimits) -> Generator[ControlGroup, None, None]:
    """A group with these limits, for the length of the block; none where nothing is limited.

    LimitError for a limit that cannot be set. A lock on each directory says that this process is
    there: a group whose owner was killed is removed by the next one.
    """
    needed = grouplimits.controllers_of(limits.group)
    if not needed and not limits.cgroup_parent:
        yield ControlGroup({})
        return
    name = f"{_NAME}{os.urandom(8).hex()}"
    planned = cgroup.plan(name, (), required=needed, parent=limits.cgroup_parent)
    _remove_abandoned(planned)
    group = cgroup.make(planned, (), required=needed)
    locks: list[int] = []
    try:
        locks = [_locked(directory) for directory in group.directories.values()]
        _limit(group, limits)
        yield group
    finally:
        group.remove()
        for fd in locks:
            os.close(fd)


def _limit(group: ControlGroup, limits: StepLimits) -> None:
    if limits.cgroup_parent and not group:
        raise LimitError(
            f"--cgroup-parent {limits.cgroup_parent}: no group can be made there",
            hint="root may, and the user that it was delegated to",
        )
    grouplimits.apply(group, limits.group)


def _locked(directory: str) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _remove_abandoned(planned: ControlGroup) -> None:
    for directory in planned.directories.values():
        parent_dir = os.path.dirname(directory)
        with suppress(FileNotFoundError):
            for name in os.listdir(parent_dir):
                if name.startswith(PREFIX + _NAME):
                    _remove_if_abandoned(os.path.join(parent_dir, name))


def _remove_if_abandoned(directory: str) -> None:
    """A group without an owner has no processes; one just made may have no lock yet."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if time.time() - os.fstat(fd).st_ctime > _MAKING_S:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rmdir(directory)
    except OSError:  # its owner has the lock, or its last process is still dying
        return
    finally:
        os.close(fd)
