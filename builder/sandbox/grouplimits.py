"""The limits of a control group: as data, and as what is written into the group's files.

Terms and rules are Docker's. A limit that was asked for and cannot be set is a LimitError: nothing
that was asked for is left out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator

from builder.kernel.cgroup import ControlGroup
from builder.sandbox import cgroup
from builder.sandbox.errors import LimitError
from cache.record import record

NO_LIMIT = -1
DEFAULT_PERIOD_US = 100_000

_DELEGATE = "systemd-run --user --scope -p Delegate=yes pybuild ..."


@record
class DeviceRate:
    """How much may be read from a device or written to it in a second."""

    path: str  # of the device's node on this machine
    rate: int  # bytes or operations


@record
class GroupLimits:
    """What the processes of a group may use together; 0, "" and () where nothing was said."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0  # memory and swap together; 0: twice the memory
    memory_reservation_bytes: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    nano_cpus: int = 0  # billionths of a processor
    cpu_shares: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


@record
class Setting:
    """Text for one file of a group, and the option that asks for it."""

    option: str
    controller: str  # by its name in version 1
    file: str
    text: str
    is_asked: bool = True  # else it is a default, and no loss where the kernel has no such file
    other_file: str = ""  # which some kernels have in its place


_V1, _V2 = 1, 2
_FIELDS = {
    "memory": (
        *("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes"),
        *("memory_swappiness", "oom_kill_disable"),
    ),
    "cpu": ("nano_cpus", "cpu_shares", "cpu_period_us", "cpu_quota_us"),
    "cpuset": ("cpuset_cpus", "cpuset_mems"),
    "pids": ("pids",),
    "blkio": (
        *("blkio_weight", "device_read_bps", "device_write_bps"),
        *("device_read_iops", "device_write_iops"),
    ),
}
_RATES = (
    ("--device-read-bps", "device_read_bps", "read_bps", "rbps"),
    ("--device-write-bps", "device_write_bps", "write_bps", "wbps"),
    ("--device-read-iops", "device_read_iops", "read_iops", "riops"),
    ("--device-write-iops", "device_write_iops", "write_iops", "wiops"),
)


def controllers_of(limits: GroupLimits) -> tuple[str, ...]:
    """The controllers, by their names in version 1, that the limits need."""
    unset = GroupLimits()
    return tuple(
        controller
        for controller, fields in _FIELDS.items()
        if any(getattr(limits, field) != getattr(unset, field) for field in fields)
    )


def settings(
    limits: GroupLimits,
    version_of: Callable[[str], int],
    device_number: Callable[[str, str], str],
) -> Iterator[Setting]:
    """What to write, in this order; LimitError for what a version does not know at all.

    `version_of` a controller: 1 or 2. `device_number` of an option's path: "MAJOR:MINOR".
    """
    yield from (_memory_v1 if version_of("memory") == _V1 else _memory_v2)(limits)
    yield from (_cpu_v1 if version_of("cpu") == _V1 else _cpu_v2)(limits)
    if limits.cpuset_cpus:
        yield Setting("--cpuset-cpus", "cpuset", "cpuset.cpus", limits.cpuset_cpus)
    if limits.cpuset_mems:
        yield Setting("--cpuset-mems", "cpuset", "cpuset.mems", limits.cpuset_mems)
    if limits.pids:
        yield Setting("--pids-limit", "pids", "pids.max", _or_max(limits.pids))
    yield from (_blkio_v1 if version_of("blkio") == _V1 else _io_v2)(limits, device_number)


def _memory_v1(limits: GroupLimits) -> Iterator[Setting]:
    if limits.memory_bytes:
        file = "memory.limit_in_bytes"
        yield Setting("--memory", "memory", file, str(limits.memory_bytes))
    total = _memory_and_swap(limits)
    if total:
        file, is_asked = "memory.memsw.limit_in_bytes", bool(limits.memory_swap_bytes)
        yield Setting("--memory-swap", "memory", file, str(total), is_asked)
    if limits.memory_reservation_bytes:
        text = str(limits.memory_reservation_bytes)
        yield Setting("--memory-reservation", "memory", "memory.soft_limit_in_bytes", text)
    if limits.memory_swappiness is not None:
        text = str(limits.memory_swappiness)
        yield Setting("--memory-swappiness", "memory", "memory.swappiness", text)
    if limits.oom_kill_disable:
        yield Setting("--oom-kill-disable", "memory", "memory.oom_control", "1")


def _memory_v2(limits: GroupLimits) -> Iterator[Setting]:
    if limits.memory_swappiness is not None:
        raise _not_in_version_2("--memory-swappiness")
    if limits.oom_kill_disable:
        raise _not_in_version_2("--oom-kill-disable")
    if limits.memory_bytes:
        yield Setting("--memory", "memory", "memory.max", _or_max(limits.memory_bytes))
    total = _memory_and_swap(limits)
    if total:
        swap = total if total == NO_LIMIT else total - limits.memory_bytes
        is_asked = bool(limits.memory_swap_bytes)
        yield Setting("--memory-swap", "memory", "memory.swap.max", _or_max(swap), is_asked)
    if limits.memory_reservation_bytes:
        text = str(limits.memory_reservation_bytes)
        yield Setting("--memory-reservation", "memory", "memory.low", text)


def _memory_and_swap(limits: GroupLimits) -> int:
    """Of both together; 0 where neither is limited."""
    return limits.memory_swap_bytes or max(2 * limits.memory_bytes, NO_LIMIT)


def _cpu_v1(limits: GroupLimits) -> Iterator[Setting]:
    if limits.cpu_shares:
        yield Setting("--cpu-shares", "cpu", "cpu.shares", str(limits.cpu_shares))
    option, quota, period = _bandwidth(limits)
    if period:
        yield Setting(option, "cpu", "cpu.cfs_period_us", str(period))
    if quota:
        yield Setting(option, "cpu", "cpu.cfs_quota_us", str(quota))


def _cpu_v2(limits: GroupLimits) -> Iterator[Setting]:
    if limits.cpu_shares:
        shares = min(max(limits.cpu_shares, 2), 262_144)
        weight = 1 + (shares - 2) * 9999 // 262_142
        yield Setting("--cpu-shares", "cpu", "cpu.weight", str(weight))
    option, quota, period = _bandwidth(limits)
    if quota or period:
        text = f"{_or_max(quota) if quota else 'max'} {period or DEFAULT_PERIOD_US}"
        yield Setting(option, "cpu", "cpu.max", text)


def _bandwidth(limits: GroupLimits) -> tuple[str, int, int]:
    if limits.nano_cpus:
        quota = limits.nano_cpus * DEFAULT_PERIOD_US // 1_000_000_000
        return "--cpus", quota, DEFAULT_PERIOD_US
    option = "--cpu-quota" if limits.cpu_quota_us else "--cpu-period"
    return option, limits.cpu_quota_us, limits.cpu_period_us


def _blkio_v1(limits: GroupLimits, device_number: Callable[[str, str], str]) -> Iterator[Setting]:
    if limits.blkio_weight:
        text, other = str(limits.blkio_weight), "blkio.bfq.weight"
        yield Setting("--blkio-weight", "blkio", "blkio.weight", text, other_file=other)
    for option, field, name, _ in _RATES:
        for item in _rates_of(limits, field):
            text = f"{device_number(option, item.path)} {item.rate}"
            yield Setting(option, "blkio", f"blkio.throttle.{name}_device", text)


def _io_v2(limits: GroupLimits, device_number: Callable[[str, str], str]) -> Iterator[Setting]:
    if limits.blkio_weight:
        weight = 1 + (limits.blkio_weight - 10) * 9999 // 990
        text, other = f"default {weight}", "io.bfq.weight"
        yield Setting("--blkio-weight", "blkio", "io.weight", text, other_file=other)
    for option, field, _, key in _RATES:
        for item in _rates_of(limits, field):
            text = f"{device_number(option, item.path)} {key}={item.rate}"
            yield Setting(option, "blkio", "io.max", text)


def _rates_of(limits: GroupLimits, field: str) -> tuple[DeviceRate, ...]:
    rates: tuple[DeviceRate, ...] = getattr(limits, field)
    return rates


def _or_max(number: int) -> str:
    return "max" if number == NO_LIMIT else str(number)


def _not_in_version_2(option: str) -> LimitError:
    return LimitError(
        f"{option} cannot be set: version 2 of control groups, which this system uses, has no such"
        " limit",
        hint=f"leave {option} out",
    )


def apply(group: ControlGroup, limits: GroupLimits) -> None:
    """Set the limits of a group, whose processes may run already. LimitError for what can't be."""
    needed = controllers_of(limits)
    if not needed:
        return
    lacking = cgroup.missing(group, needed)

    def version_of(controller: str) -> int:
        return _V1 if group.directory_of(controller) else _V2

    for setting in _ordered(group, settings(limits, version_of, _device_number)):
        if setting.controller in lacking:
            raise _no_controller(setting)
        _write(group.directory_of(setting.controller) or group.unified, setting)


def _ordered(group: ControlGroup, found: Iterator[Setting]) -> list[Setting]:
    """Version 1 wants memory and swap together never below memory alone: the greater one first."""
    ordered = list(found)
    files = [setting.file for setting in ordered]
    if files[:2] != ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]:
        return ordered
    memory, both, *rest = ordered
    limit = _number(f"{group.directory_of('memory')}/{both.file}")
    is_raised = both.text == str(NO_LIMIT) or limit is None or int(both.text) > limit
    return [both, memory, *rest] if is_raised and limit is not None else ordered


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def _device_number(option: str, path: str) -> str:
    try:
        info = os.stat(path)
    except OSError as error:
        raise LimitError(f"{option} {path}: {error.strerror}") from error
    if not stat.S_ISBLK(info.st_mode):
        raise LimitError(
            f"{option} {path}: this is no block device", hint="lsblk lists those that there are"
        )
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def _write(directory: str, setting: Setting) -> None:
    path = f"{directory}/{setting.file}"
    if setting.other_file and not os.path.exists(path):
        path = f"{directory}/{setting.other_file}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not setting.is_asked:
            return
        raise LimitError(
            f"{setting.option} cannot be set: this kernel has no {setting.file} for this group",
            hint=_KERNEL_HINTS.get(setting.option, f"leave {setting.option} out"),
        ) from error
    except OSError as error:
        raise _refused(setting, error) from error
    try:
        os.write(fd, setting.text.encode())
    except OSError as error:
        raise _refused(setting, error) from error
    finally:
        os.close(fd)


_KERNEL_HINTS = {
    "--memory-swap": "swap is counted with the kernel's parameter swapaccount=1",
    "--blkio-weight": "weights need the I/O scheduler bfq: "
    "echo bfq > /sys/block/DEVICE/queue/scheduler",
}

_REASONS = {
    errno.EBUSY: "the processes use more than that already",
    errno.EINVAL: "the kernel does not take this value here",
    errno.ENODEV: "the device cannot be limited: it may be a partition, whose disk can",
}


def _refused(setting: Setting, error: OSError) -> LimitError:
    reason = _REASONS.get(error.errno or 0, error.strerror)
    return LimitError(
        f"{setting.option} cannot be set: {reason} ({setting.file}: {setting.text})",
        hint="a group around this process's own may allow less, or not at all",
    )


def _no_controller(setting: Setting) -> LimitError:
    hint = f"have the controller delegated: {_DELEGATE}"
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):  # version 1 delegates to nobody
        hint = (
            "run pybuild as root; ordinary users need version 2 of control groups alone (kernel "
            f"parameter systemd.unified_cgroup_hierarchy=1) and then {_DELEGATE}"
        )
    return LimitError(
        f"{setting.option} cannot be set: this user may make no control group with the controller"
        f" {setting.controller}",
        hint=hint,
    )
