"""A container's root filesystem: its image's layers, its own above them, its volumes beside."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.kernel.paths import open_in_root
from builder.runtime.container import Container, Volume
from builder.runtime.errors import InvalidOptionError
from builder.sandbox.mountpoints import BASE_POINTS, MountPoint, mounted_with_points
from cache.descriptor import chain_id
from cache.snapshot.api import Mount
from cache.snapshot.merge import copy_directory_metadata
from cache.statedir import remove_tree

if TYPE_CHECKING:
    from builder.runtime.containers import Containers
    from builder.runtime.paths import ContainerPaths
    from cache.snapshot.api import Snapshotter

_ROOT_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def container_rootfs(
    container: Container, containers: Containers, snapshots: Snapshotter
) -> Generator[int, None, None]:
    """The root filesystem, mounted for the length of the block; an open descriptor of its root.

    The directories that binds and volumes come from are there as well.
    """
    paths = containers.paths(container.container_id)
    mount = writable_mount(container, paths, snapshots)
    _make_bind_sources(container)
    os.makedirs(paths.rootfs, 0o700, exist_ok=True)
    os.makedirs(paths.stubs, 0o700, exist_ok=True)
    points = (*BASE_POINTS, *_volume_points(container))
    with (
        mounted_with_points(mount, paths.rootfs, points, stub_dir=paths.stubs, volatile=False),
        _opened(paths.rootfs) as root_fd,
    ):
        for volume in container.host.volumes:
            if volume.kind == "volume":
                _fill(containers.volume_dir(volume.source), root_fd, volume, mount.userxattr)
        yield root_fd
    remove_tree(paths.stubs)


def writable_mount(container: Container, paths: ContainerPaths, snapshots: Snapshotter) -> Mount:
    """The image's layers with the container's own above them; that one is made if need be."""
    view = snapshots.view(chain_id(container.diff_ids))
    if not os.path.isdir(paths.workdir):
        os.makedirs(paths.upperdir, 0o755, exist_ok=True)
        if view.lowerdirs:  # the upperdir's metadata is that of the root directory
            copy_directory_metadata(view.lowerdirs[0], paths.upperdir)
        os.mkdir(paths.workdir, 0o700)
    return Mount(view.lowerdirs, paths.upperdir, paths.workdir, userxattr=view.userxattr)


@contextmanager
def _opened(directory: str) -> Generator[int, None, None]:
    fd = os.open(directory, _ROOT_FLAGS)
    try:
        yield fd
    finally:
        os.close(fd)


def _make_bind_sources(container: Container) -> None:
    """A missing source becomes a directory, as Docker makes it."""
    for volume in container.host.volumes:
        if volume.kind == "bind" and not os.path.exists(volume.source):
            try:
                os.makedirs(volume.source, 0o755)
            except OSError as error:
                raise InvalidOptionError(
                    f"--volume {volume.source}: the directory is missing and cannot be made: "
                    f"{error.strerror}"
                ) from error


def _volume_points(container: Container) -> Iterator[MountPoint]:
    for volume in container.host.volumes:
        is_directory = volume.kind == "volume" or os.path.isdir(volume.source)
        yield MountPoint(volume.target, is_directory=is_directory)


def _fill(volume_dir: str, root_fd: int, volume: Volume, userxattr: bool) -> None:  # noqa: FBT001
    """Make a new volume, with what the image has in its place. One that is there stays as it is."""
    from builder.runtime.treecopy import copy_tree  # noqa: PLC0415 - for volumes alone

    if os.path.isdir(volume_dir):
        return
    aside = f"{volume_dir}.new"
    os.makedirs(aside, 0o700)
    try:
        source_fd = open_in_root(root_fd, volume.target, _ROOT_FLAGS)
    except OSError as error:
        remove_tree(aside)
        if error.errno == errno.ENOTDIR:
            raise InvalidOptionError(
                f"a volume cannot be mounted at {volume.target}: the image has a file there"
            ) from error
        raise
    try:
        with _opened(aside) as target_fd:
            copy_tree(source_fd, target_fd, userxattr=userxattr)
        os.rename(aside, volume_dir)
    except BaseException:
        remove_tree(aside)
        raise
    finally:
        os.close(source_fd)
