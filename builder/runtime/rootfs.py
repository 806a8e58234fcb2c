"""A container's root filesystem: its image's layers, its own above them, its volumes beside."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.runtime.container import Container
from builder.runtime.volumes_mounts import Mounting
from builder.sandbox.mountpoints import BASE_POINTS, mounted_with_points
from cache.descriptor import chain_id
from cache.snapshot.api import Mount
from cache.snapshot.merge import copy_directory_metadata
from cache.statedir import remove_tree

if TYPE_CHECKING:
    from builder.runtime.containers import Containers
    from builder.runtime.paths import ContainerPaths
    from builder.sandbox.api import Credentials, MountEntry
    from cache.snapshot.api import Snapshotter

_ROOT_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ContainerRoot:
    """A container's root filesystem while it is mounted."""

    def __init__(self, fd: int, mounting: Mounting, *, userxattr: bool) -> None:
        self.fd = fd  # of the root directory
        self._mounting = mounting
        self._userxattr = userxattr

    def mounts(self, credentials: Credentials) -> tuple[MountEntry, ...]:
        """What the sandbox mounts over it, in order; empty volumes are filled now.

        `credentials` are those of the container's first process.
        """
        return self._mounting.entries(self.fd, credentials, userxattr=self._userxattr)


@contextmanager
def container_rootfs(
    container: Container, containers: Containers, snapshots: Snapshotter
) -> Generator[ContainerRoot, None, None]:
    """The root filesystem, mounted for the length of the block.

    MountSourceError where something is missing that is to be mounted over it.
    """
    paths = containers.paths(container.container_id)
    mount = writable_mount(container, paths, snapshots)
    os.makedirs(paths.rootfs, 0o700, exist_ok=True)
    os.makedirs(paths.stubs, 0o700, exist_ok=True)
    with ExitStack() as stack:
        mounting = Mounting(containers, snapshots, container, stack)
        points = (*BASE_POINTS, *mounting.points)
        stack.enter_context(
            mounted_with_points(mount, paths.rootfs, points, stub_dir=paths.stubs, volatile=False)
        )
        fd = os.open(paths.rootfs, _ROOT_FLAGS)
        stack.callback(os.close, fd)
        yield ContainerRoot(fd, mounting, userxattr=mount.userxattr)
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
