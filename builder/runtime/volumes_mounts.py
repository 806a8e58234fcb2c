"""What a container has mounted, from its records to what the sandbox mounts.

Sources of this machine's are named by path: the user said it. Paths inside a volume or an image are
resolved below its root, and paths in the container below its own, by the sandbox.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, assert_never

from builder.kernel.paths import open_in_root
from builder.runtime.errors import MountSourceError
from builder.runtime.volumes import HostBind, HostMount, ImageMount, TmpfsMount, VolumeMount
from builder.sandbox.api import BindEntry, Credentials, MountEntry, OverlayEntry, TmpfsEntry
from builder.sandbox.mountpoints import MountPoint
from builder.sandbox.rootfs import mounted
from cache.descriptor import chain_id
from cache.record import record
from cache.snapshot.api import Mount
from cache.statedir import remove_tree

if TYPE_CHECKING:
    from builder.runtime.container import Container
    from builder.runtime.containers import Containers
    from builder.runtime.paths import ImagePaths
    from cache.snapshot.api import Snapshotter

_PATH = os.O_PATH | os.O_CLOEXEC
_DIRECTORY_MODE = 0o755
_TMPFS_MODE = 0o1777


@record
class Source:
    """What is mounted, found."""

    path: str  # of this machine's; or the name of a descriptor of this process
    is_directory: bool


class Mounting:
    """One container's mounts at one start; what is opened for them ends with `stack`."""

    def __init__(
        self,
        containers: Containers,
        snapshots: Snapshotter,
        container: Container,
        stack: ExitStack,
    ) -> None:
        self._containers = containers
        self._snapshots = snapshots
        self._paths = containers.paths(container.container_id)
        self._mounts = container.host.mounts.entries
        self._security = container.host.security
        self._stack = stack
        self._sources = [self._source(entry, at) for at, entry in enumerate(self._mounts)]

    @property
    def points(self) -> tuple[MountPoint, ...]:
        """The places to mount on."""
        return tuple(
            MountPoint(
                entry.target,
                is_directory=source.is_directory,
                mode=_TMPFS_MODE if isinstance(entry, TmpfsMount) else _DIRECTORY_MODE,
            )
            for entry, source in zip(self._mounts, self._sources, strict=True)
        )

    def _source(self, entry: HostMount, number: int) -> Source:
        """MountSourceError for one that is missing and may not be made."""
        match entry:
            case HostBind():
                return Source(entry.source, _bind_is_directory(entry))
            case VolumeMount():
                data = self._containers.volumes.data_dir(entry.name)
                if not os.path.isdir(data):
                    raise MountSourceError(f"the directory {data} of {entry.name} is missing")
                return self._below(data, entry.subpath, f"the volume {entry.name}")
            case TmpfsMount():
                return Source("", is_directory=True)
            case ImageMount():
                tree = self._image(entry, self._paths.image_mount(number))
                return self._below(tree, entry.subpath, f"the image {entry.image_name}")
            case _:
                assert_never(entry)

    def _image(self, entry: ImageMount, place: ImagePaths) -> str:
        """The image's tree, mounted here; writes go to a layer that stays with the container."""
        view = self._snapshots.view(chain_id(entry.diff_ids))
        for directory in (place.rootfs, place.upperdir, place.workdir):
            os.makedirs(directory, 0o755, exist_ok=True)
        mount = view
        if not entry.readonly:
            mount = Mount(view.lowerdirs, place.upperdir, place.workdir, userxattr=view.userxattr)
        return self._stack.enter_context(mounted(mount, place.rootfs, volatile=False))

    def _below(self, tree: str, subpath: str, what: str) -> Source:
        """A place inside a tree that others write to."""
        if not subpath:
            return Source(tree, is_directory=True)
        root_fd = os.open(tree, _PATH | os.O_DIRECTORY)
        try:
            fd = open_in_root(root_fd, subpath, _PATH)
        except OSError as error:
            raise MountSourceError(f"{what} has no {subpath}: {error.strerror}") from error
        finally:
            os.close(root_fd)
        self._stack.callback(os.close, fd)
        return Source(f"/proc/self/fd/{fd}", stat.S_ISDIR(os.fstat(fd).st_mode))

    def entries(
        self, root_fd: int, credentials: Credentials, *, userxattr: bool
    ) -> tuple[MountEntry, ...]:
        """What to mount, in order, over the root `root_fd`; empty volumes are filled from there.

        `credentials` are those of the container's user, who gets what is mounted with `U`.
        """
        found: list[MountEntry] = []
        for number, (entry, source) in enumerate(zip(self._mounts, self._sources, strict=True)):
            if isinstance(entry, VolumeMount):
                self._fill(entry, root_fd, userxattr=userxattr)
            if isinstance(entry, HostBind | VolumeMount) and entry.chown:
                from builder.runtime.volumes_chown import give  # noqa: PLC0415 - asked for rarely

                give(source.path, credentials)
            if isinstance(entry, HostBind | VolumeMount) and entry.relabel:
                from builder.runtime.volumes_relabel import relabel  # noqa: PLC0415 - as above

                relabel(source.path, entry.relabel, self._security.labels)
            found.append(self._entry(entry, source, number, root_fd))
        return tuple(found)

    def _entry(self, entry: HostMount, source: Source, number: int, root_fd: int) -> MountEntry:
        match entry:
            case TmpfsMount():
                return _tmpfs(entry, root_fd)
            case ImageMount():
                return BindEntry(source.path, entry.target, readonly=entry.readonly)
            case VolumeMount() | HostBind() if entry.overlaid:
                place = self._fresh(number)
                return OverlayEntry(source.path, place.upperdir, place.workdir, entry.target)
            case VolumeMount():
                return BindEntry(
                    source.path, entry.target, readonly=entry.readonly, flags=entry.flags
                )
            case HostBind():
                return _bind(entry)
            case _:
                assert_never(entry)

    def _fill(self, entry: VolumeMount, root_fd: int, *, userxattr: bool) -> None:
        volumes = self._containers.volumes
        if volumes.is_kept_here(entry.name):  # a directory of the user's own stays as it is
            from builder.runtime.volumes_fill import fill  # noqa: PLC0415 - for volumes alone

            fill(volumes.state, entry, root_fd, userxattr=userxattr)

    def _fresh(self, number: int) -> ImagePaths:
        """For changes that are gone at the next start."""
        place = self._paths.image_mount(number)
        remove_tree(place.directory)
        os.makedirs(place.upperdir, 0o755)
        os.mkdir(place.workdir, 0o700)
        return place


def _bind_is_directory(entry: HostBind) -> bool:
    try:
        return stat.S_ISDIR(os.stat(entry.source).st_mode)
    except FileNotFoundError as error:
        if not entry.make_source:
            raise MountSourceError(
                f"{entry.source} is to be mounted at {entry.target} and is missing",
                hint="make it first; -v makes a missing directory",
            ) from error
    except OSError as error:
        raise MountSourceError(f"{entry.source} cannot be mounted: {error.strerror}") from error
    try:
        os.makedirs(entry.source, 0o755, exist_ok=True)
    except OSError as error:
        raise MountSourceError(
            f"{entry.source} is missing and cannot be made: {error.strerror}"
        ) from error
    return True


def _bind(entry: HostBind) -> BindEntry:
    if entry.propagation.endswith("slave"):
        from builder.sandbox.propagation import require  # noqa: PLC0415 - asked for rarely

        require(entry.source, "slave")
    return BindEntry(
        entry.source,
        entry.target,
        readonly=entry.readonly,
        recursive=entry.recursive,
        flags=entry.flags,
        propagation=entry.propagation,
    )


def _tmpfs(entry: TmpfsMount, root_fd: int) -> TmpfsEntry:
    """With the mode of the directory that the image has there, as the OCI runtimes do it."""
    fd = open_in_root(root_fd, entry.target, _PATH)
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
    return TmpfsEntry(
        entry.target,
        mode=mode,
        options=entry.options,
        flags=entry.flags,
        readonly=entry.readonly,
    )
