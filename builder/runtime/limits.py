"""What a container may use of this machine, as its record keeps it and `inspect` shows it. Pure."""

from __future__ import annotations

from builder.image.jsonobject import JsonObject
from builder.sandbox.api import DEFAULT_SHM_BYTES
from builder.sandbox.devicerules import DeviceRule, parse_rule
from builder.sandbox.grouplimits import DeviceRate, GroupLimits
from cache.record import field, record


@record
class Device:
    """A device of this machine that the container gets."""

    source: str  # path on this machine, of a node or of a directory of nodes
    target: str  # path in the container
    access: str = "rwm"  # read, write, mknod


@record
class Limits:
    """All limits of a container."""

    group: GroupLimits = field(default_factory=GroupLimits)
    cgroup_parent: str = ""
    oom_score_adj: int = 0
    rlimits: tuple[tuple[str, int, int], ...] = ()  # name, soft, hard; -1 for no limit
    shm_size_bytes: int = DEFAULT_SHM_BYTES
    devices: tuple[Device, ...] = ()
    device_rules: tuple[DeviceRule, ...] = ()


_NUMBERS = (
    *("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes", "nano_cpus"),
    *("cpu_shares", "cpu_period_us", "cpu_quota_us", "pids", "blkio_weight"),
)
_RATES = ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")


def limits_dict(limits: Limits) -> dict[str, object]:
    """For the container's record; what was not said is left out."""
    document: dict[str, object] = {
        "cgroup_parent": limits.cgroup_parent,
        "oom_score_adj": limits.oom_score_adj,
        "rlimits": [
            {"name": name, "soft": soft, "hard": hard} for name, soft, hard in limits.rlimits
        ],
        "shm_size_bytes": limits.shm_size_bytes,
        "devices": [
            {"source": item.source, "target": item.target, "access": item.access}
            for item in limits.devices
        ],
        "device_rules": [str(rule) for rule in limits.device_rules],
        "group": _group_dict(limits.group),
    }
    return {name: value for name, value in document.items() if value}


def _group_dict(group: GroupLimits) -> dict[str, object]:
    document: dict[str, object] = {name: getattr(group, name) for name in _NUMBERS}
    document |= {name: _rates_list(getattr(group, name)) for name in _RATES}
    document["cpuset_cpus"] = group.cpuset_cpus
    document["cpuset_mems"] = group.cpuset_mems
    document["oom_kill_disable"] = group.oom_kill_disable
    if group.memory_swappiness is not None:
        document["memory_swappiness"] = str(group.memory_swappiness)  # 0 says something
    return {name: value for name, value in document.items() if value}


def _rates_list(rates: tuple[DeviceRate, ...]) -> list[dict[str, object]]:
    return [{"path": item.path, "rate": item.rate} for item in rates]


def limits_of(document: JsonObject | None) -> Limits:
    """The limits of a record; InvalidImageError for what is none."""
    if document is None:
        return Limits()
    return Limits(
        group=_group_of(document.child("group")),
        cgroup_parent=document.text("cgroup_parent"),
        oom_score_adj=document.integer("oom_score_adj"),
        rlimits=tuple(
            (limit.text("name"), limit.integer("soft"), limit.integer("hard"))
            for limit in document.children("rlimits")
        ),
        shm_size_bytes=document.integer("shm_size_bytes") or DEFAULT_SHM_BYTES,
        devices=tuple(
            Device(item.text("source"), item.text("target"), item.text("access"))
            for item in document.children("devices")
        ),
        device_rules=tuple(
            _rule_of(document, text) for text in document.texts("device_rules") or ()
        ),
    )


def _group_of(document: JsonObject | None) -> GroupLimits:
    if document is None:
        return GroupLimits()
    swappiness = document.text("memory_swappiness")
    if swappiness and not swappiness.isdecimal():
        raise document.error("memory_swappiness", "is not a number")
    return GroupLimits(
        memory_bytes=document.integer("memory_bytes"),
        memory_swap_bytes=document.integer("memory_swap_bytes"),
        memory_reservation_bytes=document.integer("memory_reservation_bytes"),
        memory_swappiness=int(swappiness) if swappiness else None,
        oom_kill_disable=document.boolean("oom_kill_disable"),
        nano_cpus=document.integer("nano_cpus"),
        cpu_shares=document.integer("cpu_shares"),
        cpu_period_us=document.integer("cpu_period_us"),
        cpu_quota_us=document.integer("cpu_quota_us"),
        cpuset_cpus=document.text("cpuset_cpus"),
        cpuset_mems=document.text("cpuset_mems"),
        pids=document.integer("pids"),
        blkio_weight=document.integer("blkio_weight"),
        device_read_bps=_rates_of(document, "device_read_bps"),
        device_write_bps=_rates_of(document, "device_write_bps"),
        device_read_iops=_rates_of(document, "device_read_iops"),
        device_write_iops=_rates_of(document, "device_write_iops"),
    )


def _rates_of(document: JsonObject, name: str) -> tuple[DeviceRate, ...]:
    return tuple(
        DeviceRate(item.text("path"), item.integer("rate")) for item in document.children(name)
    )


def _rule_of(document: JsonObject, text: str) -> DeviceRule:
    rule = parse_rule(text)
    if rule is None:
        raise document.error("device_rules", "is not a list of rules")
    return rule


def inspect_fields(limits: Limits) -> dict[str, object]:
    """As `docker inspect` shows them in HostConfig."""
    group = limits.group
    return {
        "BlkioWeight": group.blkio_weight,
        "BlkioDeviceReadBps": _shown_rates(group.device_read_bps),
        "BlkioDeviceWriteBps": _shown_rates(group.device_write_bps),
        "BlkioDeviceReadIOps": _shown_rates(group.device_read_iops),
        "BlkioDeviceWriteIOps": _shown_rates(group.device_write_iops),
        "CgroupParent": limits.cgroup_parent,
        "CpuShares": group.cpu_shares,
        "CpuPeriod": group.cpu_period_us,
        "CpuQuota": group.cpu_quota_us,
        "CpusetCpus": group.cpuset_cpus,
        "CpusetMems": group.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": item.source,
                "PathInContainer": item.target,
                "CgroupPermissions": item.access,
            }
            for item in limits.devices
        ],
        "DeviceCgroupRules": [str(rule) for rule in limits.device_rules] or None,
        "Memory": group.memory_bytes,
        "MemoryReservation": group.memory_reservation_bytes,
        "MemorySwap": group.memory_swap_bytes or 2 * group.memory_bytes,
        "MemorySwappiness": group.memory_swappiness,
        "NanoCpus": group.nano_cpus,
        "OomKillDisable": group.oom_kill_disable,
        "OomScoreAdj": limits.oom_score_adj,
        "PidsLimit": group.pids or None,
        "ShmSize": limits.shm_size_bytes,
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in limits.rlimits
        ],
    }


def _shown_rates(rates: tuple[DeviceRate, ...]) -> list[dict[str, object]]:
    return [{"Path": item.path, "Rate": item.rate} for item in rates]
