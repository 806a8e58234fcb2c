"""What this program finds on the machine and has in its store, under the names of docker's API."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable

from builder.engine import Engine
from builder.image.codec import JsonDict
from builder.image.platform import host_platform
from builder.runtime.containers import Containers
from builder.sandbox import cgroup
from builder.sandbox.lsm import security_features
from builder.sandbox.subids import subordinate_ranges
from builder.version import VERSION
from cache.record import record

_TOOLS = {
    "newuidmap": "several ids without root",
    "newgidmap": "several ids without root",
    "pasta": "networks without root",
    "ip": "networks of containers",
    "nft": "published ports",
    "git": "contexts and ADD from Git repositories",
}
_LIMITS = {"memory": "memory", "cpu": "CPU", "pids": "process"}
_RUNTIMES = ("crun", "runc")


@record
class _Groups:
    """Control groups, as far as limits can be set in them."""

    version: str  # "1", also where only some controllers are there; "2"; "" for none
    controllers: tuple[str, ...]
    missing: tuple[str, ...]  # of those that limits need


def system_info(engine: Engine) -> JsonDict:
    """The document. Spec: Docker Engine API, SystemInfo; what has no meaning here is left out."""
    rootless = engine.settings.rootless
    groups = _groups()
    tools = {name: shutil.which(name) or "" for name in _TOOLS}
    subids, no_subids = _subordinate_ids(rootless=rootless)
    host = host_platform()
    return {
        **_containers(engine),
        "Images": len(engine.images.list()),
        "Driver": "overlay2",
        "DriverStatus": [
            ["Backing Filesystem", _filesystem_of(engine.settings.root_dir)],
            ["Supports d_type", "true"],
            ["userxattr", str(rootless).lower()],
        ],
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs" if groups.version else "none",
        "CgroupVersion": groups.version,
        "CgroupControllers": list(groups.controllers),
        "Runtimes": {
            "pybuild": {"path": "pybuild"},
            **{name: {"path": path} for name in _RUNTIMES if (path := shutil.which(name))},
        },
        "DefaultRuntime": "pybuild",
        "SecurityOptions": list(security_features(rootless=rootless)),
        "KernelVersion": os.uname().release,
        "OperatingSystem": _operating_system(),
        "OSType": host.os,
        "Architecture": os.uname().machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": os.uname().nodename,
        "DockerRootDir": engine.settings.root_dir,
        "ServerVersion": VERSION,
        "SystemTime": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "SubordinateIds": subids,
        "Tools": tools,
        "Warnings": [*_warnings(groups, tools, rootless=rootless), *no_subids],
    }


def _containers(engine: Engine) -> JsonDict:
    reports = Containers(engine.state, engine.database, engine.now).reports()
    count = Counter(report.status for report in reports)
    return {
        "Containers": len(reports),
        "ContainersRunning": count["running"] + count["restarting"],
        "ContainersPaused": count["paused"],
        "ContainersStopped": count["created"] + count["exited"],
    }


def _groups() -> _Groups:
    found = cgroup.hierarchies(_text("/proc/self/mountinfo"), _text("/proc/self/cgroup"))
    names: list[str] = []
    for item in found:
        names += item.controllers.split(",") if item.controllers else _unified(item.own_dir)
    version_1 = any(item.controllers for item in found)
    group = cgroup.plan("info", tuple(_LIMITS))
    missing = cgroup.missing(group, tuple(_LIMITS)) if group else tuple(_LIMITS)
    version = "1" if version_1 else "2" if found else ""
    return _Groups(version, tuple(sorted(set(names))), tuple(missing))


def _unified(directory: str) -> list[str]:
    return _text(os.path.join(directory, "cgroup.controllers")).split()


def _subordinate_ids(*, rootless: bool) -> tuple[list[JsonDict], list[str]]:
    """Those that a user without root may use, and what is missing for it."""
    if not rootless:
        return [], []
    uids, gids, why = subordinate_ranges(os.getuid(), os.getgid())
    ranges: list[JsonDict] = [
        {"Kind": kind, "First": first, "Count": count}
        for kind, found in (("uid", uids), ("gid", gids))
        for _, first, count in found[1:]
    ]
    return ranges, [f"WARNING: only one user id can be used: {why}"] * bool(why)


def _warnings(groups: _Groups, tools: dict[str, str], *, rootless: bool) -> list[str]:
    found = [
        f"WARNING: No {_LIMITS[name]} limit support: control groups can't be made here"
        for name in groups.missing
    ]
    needed = {"pasta"} if rootless else {"ip", "nft"}
    found += [
        f"WARNING: {name} is not installed: {_TOOLS[name]} need it"
        for name, path in tools.items()
        if name in needed and not path
    ]
    return found


def _filesystem_of(directory: str) -> str:
    """By the mount that it lies in."""
    mounts = (line.split(" - ") for line in _text("/proc/self/mountinfo").splitlines())
    found = {
        before.split()[4]: after.split()[0] for before, after in (m for m in mounts if len(m) == 2)
    }
    place = os.path.realpath(directory)
    while place not in found and place != "/":
        place = os.path.dirname(place)
    return found.get(place, "unknown")


def _operating_system() -> str:
    names = _fields(_text("/etc/os-release").splitlines())
    return names.get("PRETTY_NAME") or names.get("NAME") or "Linux"


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """Of an os-release file. Spec: os-release(5)."""
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: value.strip().strip("\"'") for name, _, value in pairs}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
