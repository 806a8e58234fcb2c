"""How a process runs → the document that tells another runtime the same. Pure.

Spec: OCI runtime-spec 1.1 config.md, config-linux.md. It is made of the `ProcessSpec` that the
built-in sandbox would run, so that an option means the same in both.
"""

from __future__ import annotations

from builder.runtime.ociruntime.filters import seccomp_document
from builder.runtime.ociruntime.mounts import mount_documents
from builder.runtime.ociruntime.place import Place
from builder.runtime.ociruntime.resources import resources_document
from builder.sandbox.api import ProcessSpec
from builder.sandbox.confinement import UNCONFINED, Confinement, Namespace, masked_paths
from builder.sandbox.requests import bounding_names
from builder.sandbox.subids import IdRange

OCI_VERSION = "1.1.0"
ROOTFS = "rootfs"
"""The root filesystem's directory, from the bundle's own."""

_UMASK = 0o022
_NO_LIMIT = (1 << 64) - 1  # RLIM_INFINITY, as the spec's unsigned numbers have it
_OWN_PORTS = ("net.ipv4.ip_unprivileged_port_start", "0")
_NAMESPACES: tuple[tuple[Namespace, str], ...] = (
    ("pid", "pid"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
)


def spec_document(
    spec: ProcessSpec,
    place: Place,
    *,
    annotations: tuple[tuple[str, str], ...] = (),
    root_dir: str = ROOTFS,
) -> dict[str, object]:
    """config.json. Relative paths, of the root filesystem and of binds, are from the bundle."""
    document: dict[str, object] = {
        "ociVersion": OCI_VERSION,
        "process": _process(spec, place),
        "root": {"path": root_dir, "readonly": spec.readonly_rootfs},
        "mounts": mount_documents(spec, place),
        "linux": _linux(spec, place),
    }
    if has_own(spec, "uts"):  # else the runtime would rename the machine, or refuse
        document["hostname"] = spec.hostname
    if annotations:
        document["annotations"] = dict(annotations)
    return document


def has_own(spec: ProcessSpec, kind: Namespace) -> bool:
    """Whether the process gets a new namespace of this kind."""
    return kind not in spec.confinement.of_host and kind not in {each.kind for each in spec.joined}


def has_own_network(spec: ProcessSpec) -> bool:
    """Whether it gets a new network namespace."""
    return spec.network != "host" and not any(each.kind == "net" for each in spec.joined)


def _process(spec: ProcessSpec, place: Place) -> dict[str, object]:
    document: dict[str, object] = {
        "terminal": spec.terminal,
        "user": _user(spec, place),
        "args": list(spec.args),
        "env": list(spec.env),
        "cwd": spec.cwd,
        "capabilities": _capabilities(spec, place),
        "rlimits": [
            {
                "type": f"RLIMIT_{name.upper()}",
                "soft": _limit(soft),
                "hard": _limit(hard),
            }
            for name, soft, hard in spec.rlimits
        ],
        "noNewPrivileges": spec.no_new_privileges,
    }
    rows, columns = spec.terminal_size
    if spec.terminal and rows and columns:
        document["consoleSize"] = {"height": rows, "width": columns}
    if spec.oom_score_adj:
        document["oomScoreAdj"] = spec.oom_score_adj
    if spec.confinement.apparmor:
        document["apparmorProfile"] = spec.confinement.apparmor
    if spec.confinement.selinux:
        document["selinuxLabel"] = spec.confinement.selinux
    return document


def _user(spec: ProcessSpec, place: Place) -> dict[str, object]:
    """With its own group among the others: runc keeps the caller's where the list is empty.

    Started by an ordinary user, runc refuses any: there only those are listed that were asked for.
    """
    uid, gid, groups = spec.credentials.uid, spec.credentials.gid, spec.credentials.groups
    document: dict[str, object] = {"uid": uid, "gid": gid, "umask": _UMASK}
    if not place.gid_ranges:
        document["additionalGids"] = [gid, *(group for group in groups if group != gid)]
    elif groups:
        document["additionalGids"] = list(groups)
    return document


def _capabilities(spec: ProcessSpec, place: Place) -> dict[str, list[str]]:
    """Inheritable and ambient ones there are none: who is not root has none to use."""
    held = place.held
    names = [name for name in bounding_names(spec) if held is None or name in held]
    own = [] if spec.credentials.uid else names
    return {"bounding": names, "effective": own, "permitted": own, "inheritable": [], "ambient": []}


def _limit(value: int) -> int:
    return _NO_LIMIT if value < 0 else value


def _linux(spec: ProcessSpec, place: Place) -> dict[str, object]:
    confinement = _confinement(spec)
    document: dict[str, object] = {
        "namespaces": _namespaces(spec, place),
        "maskedPaths": list(masked_paths() if confinement.masked is None else confinement.masked),
        "readonlyPaths": list(confinement.readonly),
        "rootfsPropagation": "rprivate",
        "sysctl": _sysctls(spec),
    }
    if place.uid_ranges:
        document["uidMappings"] = list(map(_mapping, place.uid_ranges))
        document["gidMappings"] = list(map(_mapping, place.gid_ranges))
    if place.devices:
        document["devices"] = [device.document() for device in place.devices]
    resources = resources_document(place, privileged=spec.privileged)
    if resources:
        document["resources"] = resources
    if place.cgroup_path:
        document["cgroupsPath"] = place.cgroup_path
    seccomp = seccomp_document(spec, machine=place.machine, release=place.release)
    if seccomp is not None:
        document["seccomp"] = seccomp
    return document


def _confinement(spec: ProcessSpec) -> Confinement:
    return UNCONFINED if spec.privileged else spec.confinement


def _namespaces(spec: ProcessSpec, place: Place) -> list[dict[str, str]]:
    joined = {each.kind: f"/proc/{each.pid}/ns/{each.kind}" for each in spec.joined}
    found: list[dict[str, str]] = [{"type": "mount"}]
    if "net" in joined:
        found.append({"type": "network", "path": joined["net"]})
    elif has_own_network(spec):
        found.append({"type": "network"})
    for kind, name in _NAMESPACES:
        if kind in joined:
            found.append({"type": name, "path": joined[kind]})
        elif has_own(spec, kind):
            found.append({"type": name})
    if place.uid_ranges:
        found.append({"type": "user"})
    return found


def _mapping(id_range: IdRange) -> dict[str, int]:
    inside, outside, count = id_range
    return {"containerID": inside, "hostID": outside, "size": count}


def _sysctls(spec: ProcessSpec) -> dict[str, str]:
    """Ordinary users may bind any port of a network namespace that is the container's own."""
    own = dict((_OWN_PORTS,)) if has_own_network(spec) else {}
    return own | dict(spec.confinement.sysctls)
