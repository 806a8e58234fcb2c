"""Text of the options that limit a container to values. Pure: what the machine has is an argument.

Rules as Docker's daemon has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from builder.runtime.errors import InvalidOptionError
from builder.runtime.limits import Device, Limits
from builder.runtime.options import clean_path, parse_size, parse_ulimit
from builder.sandbox.devicerules import DeviceRule, is_access, parse_rule
from builder.sandbox.grouplimits import NO_LIMIT, DeviceRate, GroupLimits
from cache.record import replace

LEAST_MEMORY_BYTES = 6 << 20
_NANO = 1_000_000_000


class Machine(Protocol):
    """What this machine has; asked only for what an option is about."""

    @property
    def cpu_count(self) -> int:
        """How many processors this process may use."""
        ...

    @property
    def cpus(self) -> frozenset[int]:
        """The processors that there are."""
        ...

    @property
    def mems(self) -> frozenset[int]:
        """The memory nodes that there are."""
        ...


def parse_group_limits(
    values: Mapping[str, str],
    lists: Mapping[str, tuple[str, ...]],
    machine: Machine,
    base: GroupLimits | None = None,
) -> GroupLimits:
    """The limits of a group: `base` with what the options say put in.

    `values` and `lists` are by the options' long names. InvalidOptionError for what is wrong.
    """
    limits = _with_cpu(values, _with_memory(values, base or GroupLimits()))
    limits = _with_cpusets(values, limits, machine)
    if pids := values.get("pids-limit"):
        number = _integer("--pids-limit", pids)
        limits = replace(limits, pids=number if number > 0 else NO_LIMIT)
    limits = _with_disks(values, lists, limits)
    _check(limits, machine)
    return limits


def parse_limits(
    values: Mapping[str, str],
    lists: Mapping[str, tuple[str, ...]],
    switches: frozenset[str],
    machine: Machine,
) -> Limits:
    """All limits of a new container."""
    group = parse_group_limits(values, lists, machine)
    if "oom-kill-disable" in switches:
        group = replace(group, oom_kill_disable=True)
    limits = Limits(
        group=group,
        cgroup_parent=values.get("cgroup-parent", ""),
        rlimits=tuple(map(parse_ulimit, lists.get("ulimit", ()))),
        devices=tuple(map(parse_device, lists.get("device", ()))),
        device_rules=tuple(map(parse_device_rule, lists.get("device-cgroup-rule", ()))),
    )
    if score := values.get("oom-score-adj"):
        limits = replace(limits, oom_score_adj=_between("--oom-score-adj", score, -1000, 1000))
    if "shm-size" in values:
        size = parse_size(values["shm-size"], option="--shm-size")
        limits = replace(limits, shm_size_bytes=size)
    return limits


def _with_memory(values: Mapping[str, str], limits: GroupLimits) -> GroupLimits:
    if size := _size(values, "memory"):
        limits = replace(limits, memory_bytes=size)
    if size := _size(values, "memory-reservation"):
        limits = replace(limits, memory_reservation_bytes=size)
    if values.get("memory-swap") == "-1":
        limits = replace(limits, memory_swap_bytes=NO_LIMIT)
    elif size := _size(values, "memory-swap"):
        limits = replace(limits, memory_swap_bytes=size)
    swappiness = values.get("memory-swappiness", "-1")
    if swappiness != "-1":
        number = _between("--memory-swappiness", swappiness, 0, 100)
        limits = replace(limits, memory_swappiness=number)
    return limits


def _with_cpu(values: Mapping[str, str], limits: GroupLimits) -> GroupLimits:
    if shares := values.get("cpu-shares"):
        limits = replace(limits, cpu_shares=_between("--cpu-shares", shares, 0, 1 << 31))
    if period := values.get("cpu-period"):
        number = _between("--cpu-period", period, 1000, 1_000_000, also=0)
        limits = replace(limits, cpu_period_us=number)
    if quota := values.get("cpu-quota"):
        number = _integer("--cpu-quota", quota)
        if 0 < number < 1000:
            raise InvalidOptionError("--cpu-quota is at least 1000 microseconds")
        limits = replace(limits, cpu_quota_us=max(number, NO_LIMIT))
    if cpus := values.get("cpus"):
        limits = replace(limits, nano_cpus=parse_cpus(cpus))
    return limits


def _with_disks(
    values: Mapping[str, str], lists: Mapping[str, tuple[str, ...]], limits: GroupLimits
) -> GroupLimits:
    if weight := values.get("blkio-weight"):
        limits = replace(limits, blkio_weight=_between("--blkio-weight", weight, 10, 1000, also=0))

    def rates(name: str, before: tuple[DeviceRate, ...]) -> tuple[DeviceRate, ...]:
        texts = lists.get(name, ())
        is_bytes = name.endswith("bps")
        given = (parse_rate(f"--{name}", text, is_bytes=is_bytes) for text in texts)
        return tuple(given) or before

    return replace(
        limits,
        device_read_bps=rates("device-read-bps", limits.device_read_bps),
        device_write_bps=rates("device-write-bps", limits.device_write_bps),
        device_read_iops=rates("device-read-iops", limits.device_read_iops),
        device_write_iops=rates("device-write-iops", limits.device_write_iops),
    )


def parse_cpus(text: str) -> int:
    """`1.5` in billionths."""
    whole, _, fraction = text.partition(".")
    if not (whole or fraction) or not f"{whole}{fraction}".isdecimal() or not text.isascii():
        raise InvalidOptionError(f'--cpus "{text[:50]}" is not a number', hint="for example 1.5")
    if len(fraction) > 9:
        raise InvalidOptionError(f"--cpus {text[:50]} is more exact than a billionth")
    return int(whole or 0) * _NANO + int(fraction.ljust(9, "0") or 0)


def _with_cpusets(values: Mapping[str, str], limits: GroupLimits, machine: Machine) -> GroupLimits:
    if cpus := values.get("cpuset-cpus"):
        _check_set("--cpuset-cpus", cpus, machine.cpus)
        limits = replace(limits, cpuset_cpus=cpus)
    if mems := values.get("cpuset-mems"):
        _check_set("--cpuset-mems", mems, machine.mems)
        limits = replace(limits, cpuset_mems=mems)
    return limits


def _check_set(option: str, text: str, there: frozenset[int]) -> None:
    asked = parse_set(text)
    if not asked:
        raise InvalidOptionError(
            f'{option} "{text[:100]}" is not a list of numbers', hint="for example 0-2,4"
        )
    if asked - there:
        shown = ",".join(map(str, sorted(there)))
        raise InvalidOptionError(
            f"{option} {text[:100]}: there is no number {min(asked - there)} on this machine",
            hint=f"there are {shown}",
        )


def parse_set(text: str) -> frozenset[int] | None:
    """The numbers of `0-2,4`; None for what is no such list."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, separator, last = part.partition("-")
        last = last if separator else first
        if not (first.isascii() and first.isdecimal() and last.isascii() and last.isdecimal()):
            return None
        if not int(first) <= int(last) < 1 << 16:
            return None
        found.update(range(int(first), int(last) + 1))
    return frozenset(found)


def parse_rate(option: str, text: str, *, is_bytes: bool) -> DeviceRate:
    """`/dev/sda:1mb` or `/dev/sda:1000`."""
    path, separator, rate = text.rpartition(":")
    if not separator or not path.startswith("/dev/"):
        raise InvalidOptionError(
            f'{option} "{text[:100]}" is not DEVICE:RATE',
            hint=f"for example {option} /dev/sda:1000",
        )
    if is_bytes:
        return DeviceRate(path, parse_size(rate, option=option))
    return DeviceRate(path, _between(option, rate, 1, (1 << 32) - 1))


def parse_device(text: str) -> Device:
    """`SRC[:DST[:rwm]]`; `SRC:rwm` too."""
    match text.split(":"):
        case [source]:
            device = Device(source, source)
        case [source, access] if is_access(access):
            device = Device(source, source, access)
        case [source, target]:
            device = Device(source, target or source)
        case [source, target, access]:
            device = Device(source, target or source, access)
        case _:
            device = Device("", "")
    if not device.source or not is_access(device.access):
        raise InvalidOptionError(
            f'--device "{text[:200]}" is not SOURCE[:TARGET[:ACCESS]]',
            hint="ACCESS is some of r, w and m: /dev/sda:/dev/xvda:r",
        )
    if not device.source.startswith("/") or not device.target.startswith("/"):
        raise InvalidOptionError(f'--device "{text[:200]}": a path is not absolute')
    return Device(clean_path(device.source), clean_path(device.target), device.access)


def parse_device_rule(text: str) -> DeviceRule:
    """`c 189:* rwm`."""
    rule = parse_rule(text)
    if rule is None:
        raise InvalidOptionError(
            f'--device-cgroup-rule "{text[:100]}" is no rule',
            hint='a, b or c, MAJOR:MINOR with * for any, some of rwm: "c 189:* rwm"',
        )
    return rule


def _check(limits: GroupLimits, machine: Machine) -> None:
    memory, swap = limits.memory_bytes, limits.memory_swap_bytes
    reservation = limits.memory_reservation_bytes
    for option, size in (("--memory", memory), ("--memory-reservation", reservation)):
        if 0 < size < LEAST_MEMORY_BYTES:
            raise InvalidOptionError(f"{option} is at least 6m")
    if swap > 0 and not memory:
        raise InvalidOptionError("--memory-swap needs --memory: it is for both together")
    if 0 < swap < memory:
        raise InvalidOptionError("--memory-swap is at least --memory: it is for both together")
    if reservation > memory > 0:
        raise InvalidOptionError("--memory-reservation is at most --memory")
    if limits.nano_cpus and (limits.cpu_period_us or limits.cpu_quota_us):
        raise InvalidOptionError("--cpus says what --cpu-period and --cpu-quota say: give one")
    if limits.nano_cpus > machine.cpu_count * _NANO:
        raise InvalidOptionError(
            f"--cpus is at most {machine.cpu_count}: so many processors can be used here"
        )


def _size(values: Mapping[str, str], name: str) -> int:
    text = values.get(name, "")
    return 0 if text in {"", "0"} else parse_size(text, option=f"--{name}")


def _integer(option: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidOptionError(f'{option} "{text[:50]}" is not a number')
    return int(text)


def _between(option: str, text: str, least: int, most: int, *, also: int | None = None) -> int:
    number = _integer(option, text)
    if not least <= number <= most and number != also:
        raise InvalidOptionError(f"{option} {number} is not between {least} and {most}")
    return number
