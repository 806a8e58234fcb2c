"""What a container may do to this machine, and which of its namespaces it shares: one record.

Pure: the record, its form in config.json, and what it means for the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable

from builder.image.jsonobject import JsonObject
from builder.runtime.errors import InvalidOptionError
from builder.sandbox.api import DEFAULT_CAPABILITIES
from builder.sandbox.confinement import (
    READONLY_PATHS,
    UNCONFINED,
    Confinement,
    Namespace,
    masked_paths,
)
from cache.record import record

ALL_PATHS = "ALL"
"""In `unmasked`: whatever is masked or read-only by default."""


@record
class Security:
    """The options of a container that loosen or tighten its confinement."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()  # "CAP_CHOWN" or "ALL"
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = "default"  # "default", "unconfined" or a profile, Docker's JSON
    apparmor: str = ""  # a profile's name; "": none
    labels: tuple[str, ...] = ()  # of SELinux: "disable", "type:T", "level:L", ...
    masked: tuple[str, ...] = ()  # paths hidden besides the usual ones
    unmasked: tuple[str, ...] = ()  # patterns of paths that are as they are, or ALL
    ipc: str = ""  # "", "private", "shareable", "none", "host" or "container:ID"
    pid: str = ""  # "", "private", "host" or "container:ID"
    uts: str = ""  # "", "private", "host" or "container:ID"
    cgroupns: str = ""  # "", "private", "host" or "container:ID"
    userns: str = ""  # "", "host" or as builder.runtime.userns has it
    uid_map: tuple[tuple[int, int, int], ...] = ()  # of its own user namespace; () for none
    gid_map: tuple[tuple[int, int, int], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()  # of the container, by name or number


_TEXTS = ("seccomp", "apparmor", "ipc", "pid", "uts", "cgroupns", "userns")
_LISTS = ("cap_add", "cap_drop", "labels", "masked", "unmasked", "groups")


def security_dict(security: Security) -> dict[str, object]:
    """As it stands in config.json."""
    return {
        "privileged": security.privileged,
        "no_new_privileges": security.no_new_privileges,
        **{name: getattr(security, name) for name in _TEXTS},
        **{name: list(getattr(security, name)) for name in _LISTS},
        "sysctls": dict(security.sysctls),
        "uid_map": _map_texts(security.uid_map),
        "gid_map": _map_texts(security.gid_map),
    }


def security_of(document: JsonObject) -> Security:
    """Back from `security_dict`."""
    return Security(
        privileged=document.boolean("privileged"),
        cap_add=document.texts("cap_add") or (),
        cap_drop=document.texts("cap_drop") or (),
        no_new_privileges=document.boolean("no_new_privileges"),
        seccomp=document.text("seccomp", required=True),
        apparmor=document.text("apparmor"),
        labels=document.texts("labels") or (),
        masked=document.texts("masked") or (),
        unmasked=document.texts("unmasked") or (),
        ipc=document.text("ipc"),
        pid=document.text("pid"),
        uts=document.text("uts"),
        cgroupns=document.text("cgroupns"),
        userns=document.text("userns"),
        sysctls=document.pairs("sysctls"),
        groups=document.texts("groups") or (),
        uid_map=_ranges(document, "uid_map"),
        gid_map=_ranges(document, "gid_map"),
    )


def _map_texts(ranges: tuple[tuple[int, int, int], ...]) -> list[str]:
    return [f"{inside}:{outside}:{count}" for inside, outside, count in ranges]


def _ranges(document: JsonObject, name: str) -> tuple[tuple[int, int, int], ...]:
    ranges: list[tuple[int, int, int]] = []
    for text in document.texts(name) or ():
        numbers = text.split(":")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            raise document.error(name, "is no map of ids")
        ranges.append((int(numbers[0]), int(numbers[1]), int(numbers[2])))
    return tuple(ranges)


def capabilities(security: Security, every: tuple[str, ...]) -> tuple[str, ...]:
    """The capabilities of the process, out of `every` one that there is; as Docker counts them.

    InvalidOptionError for one that isn't among them.
    """
    for name in (*security.cap_add, *security.cap_drop):
        if name != "ALL" and name not in every:
            raise InvalidOptionError(f'there is no capability called "{name}"')
    if security.privileged:
        return every
    if "ALL" in security.cap_add:
        return tuple(name for name in every if name not in security.cap_drop)
    base = () if "ALL" in security.cap_drop else DEFAULT_CAPABILITIES
    wanted = {name for name in base if name not in security.cap_drop} | set(security.cap_add)
    return tuple(name for name in every if name in wanted)


def confinement(
    security: Security,
    *,
    own_network: bool,
    checked_profile: Callable[[str], str],
    process_label: Callable[[tuple[str, ...]], str],
) -> Confinement:
    """What the sandbox is to hide and set. The callables are `sandbox.lsm`'s.

    InvalidOptionError for a sysctl of a namespace that is the host's.
    """
    _check_sysctls(security, own_network=own_network)
    masked, readonly = _paths(security)
    return Confinement(
        masked=masked,
        readonly=readonly,
        sysctls=security.sysctls,
        apparmor=checked_profile(security.apparmor),
        selinux=process_label(security.labels),
        of_host=of_host(security),
    )


def of_host(security: Security) -> frozenset[Namespace]:
    """The namespaces that are the host's, besides the network."""
    return frozenset(kind for kind, mode in namespace_modes(security) if mode == "host")


def namespace_modes(security: Security) -> tuple[tuple[Namespace, str], ...]:
    """(kind, mode) of each namespace that can be shared; a network's is not among them."""
    return (
        ("ipc", security.ipc),
        ("pid", security.pid),
        ("uts", security.uts),
        ("cgroup", security.cgroupns),
    )


def _paths(security: Security) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """(masked, read-only); None for the usual masked ones."""
    if security.privileged:
        return UNCONFINED.masked, UNCONFINED.readonly
    if not security.unmasked:
        masked = (*masked_paths(), *security.masked) if security.masked else None
        return masked, READONLY_PATHS
    if ALL_PATHS in security.unmasked:
        return security.masked, ()
    from fnmatch import fnmatchcase  # noqa: PLC0415 - for few containers

    def kept(paths: tuple[str, ...]) -> tuple[str, ...]:
        patterns = security.unmasked
        return tuple(path for path in paths if not any(fnmatchcase(path, p) for p in patterns))

    return (*kept(masked_paths()), *security.masked), kept(READONLY_PATHS)


def _check_sysctls(security: Security, *, own_network: bool) -> None:
    for name, _ in security.sysctls:
        is_network = name.startswith("net.")
        if is_network and not own_network:
            raise InvalidOptionError(
                f"--sysctl {name} is not allowed with the host's network",
                hint="the setting would be this machine's; give the container a network",
            )
        if not is_network and security.ipc == "host":
            raise InvalidOptionError(
                f"--sysctl {name} is not allowed with --ipc host",
                hint="the setting would be this machine's",
            )


def security_options(security: Security) -> list[str]:
    """The words of `--security-opt` that say the same, as `inspect` shows them."""
    words = ["no-new-privileges"] * security.no_new_privileges
    words += [f"seccomp={security.seccomp}"] * (security.seccomp != "default")
    words += [f"apparmor={security.apparmor}"] * bool(security.apparmor)
    words += [f"label={text}" for text in security.labels]
    words += [f"mask={':'.join(security.masked)}"] * bool(security.masked)
    if security.unmasked == (ALL_PATHS,):
        return [*words, "systempaths=unconfined"]
    return words + [f"unmask={':'.join(security.unmasked)}"] * bool(security.unmasked)


def security_document(security: Security) -> dict[str, object]:
    """The fields of `inspect`'s HostConfig, under Docker's names."""
    masked, readonly = _paths(security)
    return {
        "CapAdd": list(security.cap_add) or None,
        "CapDrop": list(security.cap_drop) or None,
        "Privileged": security.privileged,
        "SecurityOpt": security_options(security) or None,
        "IpcMode": security.ipc or "private",
        "PidMode": "" if security.pid == "private" else security.pid,
        "UTSMode": "" if security.uts == "private" else security.uts,
        "CgroupnsMode": security.cgroupns or "private",
        "UsernsMode": security.userns,
        "GroupAdd": list(security.groups) or None,
        "IDMappings": _mappings(security),
        "Sysctls": dict(security.sysctls) or None,
        "MaskedPaths": list(masked_paths() if masked is None else masked),
        "ReadonlyPaths": list(readonly),
    }


def _mappings(security: Security) -> dict[str, list[str]] | None:
    """As Podman shows them; Docker has no such thing for one container."""
    if not security.uid_map:
        return None
    return {"UidMap": _map_texts(security.uid_map), "GidMap": _map_texts(security.gid_map)}
