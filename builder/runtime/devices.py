"""The devices of this machine that a container gets: what their paths name, what may be done."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from builder.kernel.cgroup import ControlGroup
from builder.runtime.errors import InvalidOptionError
from builder.runtime.limits import Device, Limits
from builder.sandbox import devicerules
from builder.sandbox.api import DeviceNode
from builder.sandbox.devicerules import DEFAULT_RULES, DeviceRule
from builder.sandbox.errors import LimitError

_DEV = "/dev/"


def device_nodes(devices: Iterable[Device]) -> tuple[DeviceNode, ...]:
    """The nodes that a container gets; InvalidOptionError for what is no device of this machine."""
    return tuple(
        DeviceNode(source, target.removeprefix(_DEV))
        for device in devices
        for source, target in _sources(device)
    )


def rule_devices(group: ControlGroup, limits: Limits) -> bool:
    """Let the group use Docker's devices and those asked for, no other; whether that is in force.

    Where it is not, nobody opens a node that the sandbox did not put there, and the nodes can be
    used as their mode allows. LimitError where that is more than was asked for, or less.
    """
    asked = device_rules(limits)
    if devicerules.enforce(group, (*DEFAULT_RULES, *asked)):
        return True
    if limits.device_rules:
        raise _not_ruled("--device-cgroup-rule", str(limits.device_rules[0]))
    for device in limits.devices:
        if not {"r", "w"} <= set(device.access):
            raise _not_ruled("--device", f"{device.source}:{device.target}:{device.access}")
    return False


def device_rules(limits: Limits) -> tuple[DeviceRule, ...]:
    """What was asked for besides Docker's devices. InvalidOptionError for what is no device."""
    return (*limits.device_rules, *_rules_of(limits.devices))


def _not_ruled(option: str, value: str) -> LimitError:
    return LimitError(
        f"{option} {value} cannot be set: this user may make no control group with rules for "
        "devices",
        hint="run pybuild as root; without rules a device is given as its file's mode allows: "
        "--device SOURCE[:TARGET]",
    )


def _rules_of(devices: Iterable[Device]) -> Iterator[DeviceRule]:
    for device in devices:
        for source, _ in _sources(device):
            info = os.stat(source)
            numbers = os.major(info.st_rdev), os.minor(info.st_rdev)
            is_block = stat.S_ISBLK(info.st_mode)
            yield DeviceRule("b" if is_block else "c", *numbers, device.access)


def _sources(device: Device) -> Iterator[tuple[str, str]]:
    """Each node of this machine with its path in the container; of a directory, all below it."""
    if not device.target.startswith(_DEV) or device.target == _DEV:
        raise InvalidOptionError(
            f"--device {device.source}: {device.target} is not below /dev",
            hint="devices lie there in the container: --device /dev/SOURCE:/dev/TARGET",
        )
    source = os.path.realpath(device.source)
    if not os.path.isdir(source):
        if not _is_device(source):
            raise InvalidOptionError(f"--device {device.source}: there is no such device")
        yield source, device.target
        return
    found = False
    for directory, _, files in os.walk(source):
        for path in (os.path.join(directory, name) for name in sorted(files)):
            if _is_device(path):
                found = True
                yield path, os.path.join(device.target, os.path.relpath(path, source))
    if not found:
        raise InvalidOptionError(f"--device {device.source}: there is no device in it")


def _is_device(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
