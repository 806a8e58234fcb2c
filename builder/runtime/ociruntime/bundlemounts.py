"""A container's mounts as a bundle has them: it takes its own volumes along. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from builder.errors import UnsupportedError
from builder.runtime.volumes import HostBind, HostMount, HostMounts, ImageMount, VolumeMount
from builder.runtime.volumes import TmpfsMount as HostTmpfs
from builder.sandbox.api import BindEntry, MountEntry, TmpfsEntry

VOLUMES = "volumes"


def volume_source(name: str) -> str:
    """Where a volume of its own lies, from the bundle."""
    return f"{VOLUMES}/{name}"


def own_volumes(mounts: HostMounts) -> Iterator[tuple[str, str]]:
    """(name, path in the container) of each volume that the bundle holds."""
    return ((volume.name, volume.target) for volume in mounts.volumes if volume.anonymous)


def bundle_mounts(mounts: HostMounts) -> tuple[MountEntry, ...]:
    """All mounts, in order. UnsupportedError for what only pybuild's own store can mount."""
    return tuple(map(_entry, mounts.entries))


def _entry(mount: HostMount) -> MountEntry:
    match mount:
        case HostTmpfs():
            return TmpfsEntry(
                mount.target, options=mount.options, flags=mount.flags, readonly=mount.readonly
            )
        case ImageMount():
            raise _unsupported(f"the image {mount.image_name}", mount.target)
        case VolumeMount() if not mount.anonymous:
            raise _unsupported(f"the volume {mount.name}", mount.target)
        case VolumeMount() | HostBind() if mount.overlaid or mount.chown or mount.relabel:
            raise UnsupportedError(
                f"bundle: the flags O, U, z and Z of the mount at {mount.target} are not supported",
                hint="they are done when a container starts, and a bundle is not started here",
            )
        case VolumeMount():
            source = volume_source(mount.name)
            return BindEntry(source, mount.target, readonly=mount.readonly, flags=mount.flags)
        case HostBind():
            return BindEntry(
                mount.source,
                mount.target,
                readonly=mount.readonly,
                recursive=mount.recursive,
                flags=mount.flags,
                propagation=mount.propagation,
            )
        case _:
            assert_never(mount)


def _unsupported(what: str, target: str) -> UnsupportedError:
    return UnsupportedError(
        f"bundle: {what} at {target} is not supported",
        hint="it belongs to pybuild's store; a directory of this machine can be mounted: -v",
    )
