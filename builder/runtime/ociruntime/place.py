"""Where a container will run through another runtime, as far as its document depends on it."""

from __future__ import annotations

from typing import Literal

from builder.sandbox.devicerules import DeviceRule
from builder.sandbox.grouplimits import GroupLimits
from builder.sandbox.subids import IdRange
from cache.record import record


@record
class OciDevice:
    """A device that the container gets."""

    kind: Literal["b", "c"]
    path: str  # in the container
    major: int
    minor: int
    mode: int  # permissions
    uid: int = 0
    gid: int = 0

    def document(self) -> dict[str, object]:
        """An entry of linux.devices."""
        return {
            "type": self.kind,
            "path": self.path,
            "major": self.major,
            "minor": self.minor,
            "fileMode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        }


@record
class Place:
    """The machine, and what whoever starts the runtime may do there."""

    machine: str  # as uname(2) names it: x86_64
    release: str  # of the kernel: 6.1.0
    held: frozenset[str] | None = None  # capabilities that can be given at all; None: each one
    rootless: bool = False  # in a user namespace: no new devices, no rules for them
    uid_ranges: tuple[IdRange, ...] = ()  # of a user namespace that the runtime makes; (): none
    gid_ranges: tuple[IdRange, ...] = ()
    devices: tuple[OciDevice, ...] = ()  # besides those that every container has
    device_rules: tuple[DeviceRule, ...] = ()  # besides those that every container has
    limits: GroupLimits = GroupLimits()
    cgroup_path: str = ""  # below each hierarchy's root; "": the runtime's choice

    def maps_group(self, gid: int) -> bool:
        """Whether the group exists in the container's user namespace."""
        return not self.gid_ranges or any(
            inside <= gid < inside + count for inside, _, count in self.gid_ranges
        )
