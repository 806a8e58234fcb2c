"""The limits of a container as a runtime's document has them.

Spec: OCI runtime-spec config-linux.md (control groups), whose terms are those of version 1; a
runtime translates them to version 2.
"""

from __future__ import annotations

import os
import stat

from builder.runtime.ociruntime.place import Place
from builder.sandbox.devicerules import DeviceRule
from builder.sandbox.errors import LimitError
from builder.sandbox.grouplimits import DEFAULT_PERIOD_US, NO_LIMIT, DeviceRate, GroupLimits

Document = dict[str, object]

_BILLION = 1_000_000_000


def resources_document(place: Place, *, privileged: bool) -> Document:
    """linux.resources. Which devices can be used only root may say: runtimes allow the usual ones.

    LimitError for a device that is none.
    """
    limits = place.limits
    parts: Document = {
        "memory": _memory(limits),
        "cpu": _cpu(limits),
        "pids": {"limit": limits.pids} if limits.pids else {},
        "blockIO": _block_io(limits),
    }
    if not place.rootless:
        rules: list[Document] = [{"allow": privileged, "access": "rwm"}]
        parts["devices"] = [*rules, *map(_device_rule, place.device_rules)]
    return _said(parts)


def _device_rule(rule: DeviceRule) -> Document:
    document: Document = {"allow": True, "type": rule.kind, "access": rule.access}
    for name, number in (("major", rule.major), ("minor", rule.minor)):
        if number is not None:
            document[name] = number
    return document


def _memory(limits: GroupLimits) -> Document:
    twice = max(2 * limits.memory_bytes, NO_LIMIT)
    document = _said({
        "limit": limits.memory_bytes,
        "swap": limits.memory_swap_bytes or twice,
        "reservation": limits.memory_reservation_bytes,
        "disableOOMKiller": limits.oom_kill_disable,
    })  # fmt: skip
    if limits.memory_swappiness is not None:
        document["swappiness"] = limits.memory_swappiness
    return document


def _cpu(limits: GroupLimits) -> Document:
    quota, period = limits.cpu_quota_us, limits.cpu_period_us
    if limits.nano_cpus:
        quota, period = limits.nano_cpus * DEFAULT_PERIOD_US // _BILLION, DEFAULT_PERIOD_US
    return _said({
        "shares": limits.cpu_shares,
        "quota": quota,
        "period": period,
        "cpus": limits.cpuset_cpus,
        "mems": limits.cpuset_mems,
    })  # fmt: skip


def _block_io(limits: GroupLimits) -> Document:
    return _said({
        "weight": limits.blkio_weight,
        "throttleReadBpsDevice": _rates(limits.device_read_bps),
        "throttleWriteBpsDevice": _rates(limits.device_write_bps),
        "throttleReadIOPSDevice": _rates(limits.device_read_iops),
        "throttleWriteIOPSDevice": _rates(limits.device_write_iops),
    })  # fmt: skip


def _rates(rates: tuple[DeviceRate, ...]) -> list[Document]:
    return [_rate(rate) for rate in rates]


def _rate(rate: DeviceRate) -> Document:
    try:
        status = os.stat(rate.path)
    except OSError as error:
        raise LimitError(f"{rate.path} cannot be limited: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise LimitError(f"{rate.path} cannot be limited: it is no block device")
    number = status.st_rdev
    return {"major": os.major(number), "minor": os.minor(number), "rate": rate.rate}


def _said(document: Document) -> Document:
    """What says something of it."""
    return {name: value for name, value in document.items() if value}
