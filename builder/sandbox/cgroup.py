"""Control groups, so far for one thing: a container's processes can be held still together.

A group lies below this process's own one, as `pybuild-NAME`, in the version 2 tree where there is
one to write to, else in version 1's freezer. An ordinary user without delegation has neither, and
then there is no group. Spec: cgroups(7).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from builder.errors import IsolationError
from cache.record import record

_PREFIX = "pybuild-"  # not a directory for all: it could not be removed while one is dying
_TIMEOUT_S = 10.0
_POLL_S = 0.002


@record
class Hierarchy:
    """A mounted tree of control groups."""

    mount_dir: str
    root: str  # the group that is at mount_dir
    unified: bool  # version 2


@record
class ControlGroup:
    """A group of pybuild's."""

    directory: str
    unified: bool

    @property
    def processes_file(self) -> str:
        """Whoever writes "0" into it joins."""
        return os.path.join(self.directory, "cgroup.procs")

    def freeze(self) -> None:
        """Hold all its processes still; returns when they are. IsolationError after a while."""
        self._set(frozen=True)

    def thaw(self) -> None:
        """Let them go on."""
        self._set(frozen=False)

    def remove(self) -> None:
        """Remove it; its processes have ended. One that is not there is no error."""
        deadline = time.monotonic() + _TIMEOUT_S
        while os.path.isdir(self.directory):
            try:
                os.rmdir(self.directory)
            except OSError:  # EBUSY: the last process is not reaped yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    def _set(self, *, frozen: bool) -> None:
        name, value = (
            ("cgroup.freeze", str(int(frozen)))
            if self.unified
            else ("freezer.state", "FROZEN" if frozen else "THAWED")
        )
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as file:
            file.write(value)
        deadline = time.monotonic() + _TIMEOUT_S
        while not self._is(frozen=frozen):
            if time.monotonic() > deadline:
                raise IsolationError(f"the processes of {self.directory} cannot be paused")
            time.sleep(_POLL_S)

    def _is(self, *, frozen: bool) -> bool:
        name = "cgroup.events" if self.unified else "freezer.state"
        with open(os.path.join(self.directory, name), encoding="ascii") as file:
            text = file.read()
        if self.unified:
            return f"frozen {int(frozen)}" in text.splitlines()
        return text.strip() == ("FROZEN" if frozen else "THAWED")


def create(name: str) -> ControlGroup | None:
    """The group `name` below this process's own; None where this system lets us make none."""
    memberships = _read("/proc/self/cgroup")
    for hierarchy in usable_hierarchies(_read("/proc/self/mountinfo")):
        own = directory_of(hierarchy, memberships)
        if own is None:
            continue
        group = ControlGroup(os.path.join(own, _PREFIX + name), hierarchy.unified)
        with suppress(OSError):
            os.makedirs(group.directory, exist_ok=True)  # EACCES, EROFS: another may do
            if os.access(group.processes_file, os.W_OK):
                return group
    return None


def group_of(pid: int) -> ControlGroup | None:
    """The group of pybuild's that a process is in; None where it is in none."""
    memberships = _read(f"/proc/{pid}/cgroup")
    for hierarchy in usable_hierarchies(_read("/proc/self/mountinfo")):
        directory = directory_of(hierarchy, memberships)
        if directory and os.path.basename(directory).startswith(_PREFIX):
            return ControlGroup(directory, hierarchy.unified)
    return None


def usable_hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """Where groups can be frozen, the best first. Spec: proc(5), /proc/PID/mountinfo."""
    found: list[Hierarchy] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, fstype = before.split(), after.split()
        if fstype[:1] == ["cgroup2"]:
            found.append(Hierarchy(_unescaped(fields[4]), _unescaped(fields[3]), unified=True))
        elif fstype[:1] == ["cgroup"] and "freezer" in fstype[-1].split(","):
            found.append(Hierarchy(_unescaped(fields[4]), _unescaped(fields[3]), unified=False))
    return tuple(sorted(found, key=lambda hierarchy: not hierarchy.unified))


def directory_of(hierarchy: Hierarchy, memberships: str) -> str | None:
    """The directory of the group that /proc/PID/cgroup says a process is in."""
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        matches = not controllers if hierarchy.unified else "freezer" in controllers.split(",")
        if not matches:
            continue
        relative = os.path.relpath(path, hierarchy.root)
        if relative.startswith(".."):
            return None
        return os.path.normpath(os.path.join(hierarchy.mount_dir, relative))
    return None


def _unescaped(field: str) -> str:
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
