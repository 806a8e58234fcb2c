"""The mounts of a container as a runtime's document has them. Pure.

Spec: OCI runtime-spec config.md (mounts). The system's own come first, then the container's.
"""

from __future__ import annotations

from builder.runtime.ociruntime.place import Place
from builder.sandbox.api import BindEntry, MountEntry, OverlayEntry, ProcessSpec, TmpfsEntry

Document = dict[str, object]

_TTY_GROUP = 5
_PLAIN = ("nosuid", "noexec", "nodev")


def mount_documents(spec: ProcessSpec, place: Place) -> list[Document]:
    """All mounts, in the order in which they are made."""
    system = (*_system(spec, place), *_shared(spec), *_bound_devices(spec, place))
    return [*system, *(_mount(entry, spec, place) for entry in spec.mounts)]


def _system(spec: ProcessSpec, place: Place) -> list[Document]:
    access = "rw" if spec.privileged else "ro"
    pts = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
    tty = (f"gid={_TTY_GROUP}",) if place.maps_group(_TTY_GROUP) else ()
    return [
        _proc(spec, place),
        _new(
            "tmpfs",
            "/dev",
            "nosuid",
            "noexec",
            "strictatime",
            "mode=755",
            "size=65536k",
        ),
        _new("devpts", "/dev/pts", *pts, *tty),
        _sys(spec, place, access),
        _new("cgroup", "/sys/fs/cgroup", *_PLAIN, "relatime", access),
    ]


def _proc(spec: ProcessSpec, place: Place) -> Document:
    """In a user namespace the kernel makes one for a pid namespace of its own only."""
    if place.rootless and "pid" in spec.confinement.of_host:
        return _bind("/proc", "/proc", "rbind", *_PLAIN)
    return _new("proc", "/proc", *_PLAIN)


def _sys(spec: ProcessSpec, place: Place, access: str) -> Document:
    """A sysfs shows a network namespace: a user namespace may make one for its own only."""
    if place.rootless and spec.network == "host":
        return _bind("/sys", "/sys", "rbind", *_PLAIN, access)
    return _new("sysfs", "/sys", *_PLAIN, access)


def _shared(spec: ProcessSpec) -> list[Document]:
    """Shared memory and message queues."""
    if "ipc" in spec.confinement.of_host:
        return [
            _bind(path, path, "rbind", *_PLAIN)
            for path in ("/dev/shm", "/dev/mqueue")  # noqa: S108 - no temporary file
        ]
    queues = _new("mqueue", "/dev/mqueue", *_PLAIN)
    if not spec.shm_size_bytes:
        return [queues]
    size = f"size={spec.shm_size_bytes}"
    shm = _new("tmpfs", "/dev/shm", *_PLAIN, "mode=1777", size)  # noqa: S108 - no temporary file
    return [shm, queues]


def _bound_devices(spec: ProcessSpec, place: Place) -> list[Document]:
    """In a user namespace nobody makes a node: this machine's own is bound."""
    if not place.rootless:
        return []
    return [
        _bind(node.source, f"/dev/{node.path}", "bind", "nosuid", "noexec") for node in spec.devices
    ]


def _mount(entry: MountEntry, spec: ProcessSpec, place: Place) -> Document:
    match entry:
        case BindEntry():
            kind = "rbind" if entry.recursive else "bind"
            nodes = () if spec.privileged else ("nodev",)
            flags = dict.fromkeys((*nodes, *entry.flags))
            access = _access(readonly=entry.readonly)
            return _bind(entry.source, entry.target, kind, access, entry.propagation, *flags)
        case TmpfsEntry():
            size = (f"size={entry.size_bytes}",) if entry.size_bytes else ()
            own = (f"mode={entry.mode:o}", *size, *entry.options)
            access = _access(readonly=entry.readonly)
            return _new("tmpfs", entry.target, access, *entry.flags, *own)
        case OverlayEntry():
            xattrs = ("userxattr",) if place.rootless else ()
            layers = (
                f"lowerdir={entry.lowerdir}",
                f"upperdir={entry.upperdir}",
                f"workdir={entry.workdir}",
            )
            return _new("overlay", entry.target, *layers, *xattrs)


def _access(*, readonly: bool) -> str:
    return "ro" if readonly else "rw"


def _new(fstype: str, target: str, *options: str) -> Document:
    return {"destination": target, "type": fstype, "source": fstype, "options": list(options)}


def _bind(source: str, target: str, *options: str) -> Document:
    return {"destination": target, "type": "bind", "source": source, "options": list(options)}
