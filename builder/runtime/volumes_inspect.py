"""A container's mounts as `docker inspect` and `ps` show them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from builder.runtime.volumes import (
    HostBind,
    HostMount,
    HostMounts,
    ImageMount,
    TmpfsMount,
    VolumeMount,
)


def mount_documents(
    mounts: HostMounts, volume_dir: Callable[[str], str]
) -> list[dict[str, object]]:
    """`Mounts`: what stays when the container stops; a tmpfs stands in HostConfig alone."""
    return [
        _document(entry, volume_dir)
        for entry in mounts.entries
        if not isinstance(entry, TmpfsMount)
    ]


def bind_texts(mounts: HostMounts) -> list[str]:
    """`HostConfig.Binds`: as -v takes them; an anonymous volume is in none."""
    return [
        f"{_source(entry)}:{entry.target}{':' + _mode(entry) if _mode(entry) else ''}"
        for entry in mounts.entries
        if isinstance(entry, HostBind) or (isinstance(entry, VolumeMount) and not entry.anonymous)
    ]


def tmpfs_texts(mounts: HostMounts) -> dict[str, str]:
    """`HostConfig.Tmpfs`: target → options."""
    return {
        entry.target: ",".join(["ro"] * entry.readonly + [*entry.flags, *entry.options])
        for entry in mounts.entries
        if isinstance(entry, TmpfsMount)
    }


def _source(entry: HostBind | VolumeMount) -> str:
    return entry.source if isinstance(entry, HostBind) else entry.name


def _mode(entry: HostBind | VolumeMount) -> str:
    words = ["ro"] * entry.readonly
    words += ["z"] * (entry.relabel == "shared") + ["Z"] * (entry.relabel == "private")
    words += ["O"] * entry.overlaid + ["U"] * entry.chown + list(entry.flags)
    if isinstance(entry, VolumeMount):
        return ",".join(words + ["nocopy"] * entry.nocopy)
    words += [entry.propagation] * (entry.propagation != "rprivate")
    return ",".join(words + ["bind"] * (not entry.recursive))


def _document(entry: HostMount, volume_dir: Callable[[str], str]) -> dict[str, object]:
    end: dict[str, object] = {"Destination": entry.target, "RW": not entry.readonly}
    match entry:
        case HostBind():
            mode = {"Mode": _mode(entry), "Propagation": entry.propagation}
            return {"Type": "bind", "Source": entry.source, **end, **mode}
        case VolumeMount():
            source = {"Name": entry.name, "Source": volume_dir(entry.name), "Driver": "local"}
            return {"Type": "volume", **source, **end, "Mode": _mode(entry), "Propagation": ""}
        case ImageMount():
            source = {"Name": entry.image_name, "Source": str(entry.image_id)}
            return {"Type": "image", **source, **end, "Mode": "", "Propagation": ""}
        case TmpfsMount():
            return {"Type": "tmpfs", "Source": "", **end, "Mode": "", "Propagation": ""}
        case _:
            assert_never(entry)
