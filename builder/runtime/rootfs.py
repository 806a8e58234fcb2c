"""A container's root filesystem: its image's layers, its own above them, its volumes beside."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.image.jsonobject import parse_object
from builder.runtime.container import Container
from builder.runtime.shifting import shown_ids, with_own_ids
from builder.runtime.volumes_mounts import Mounting
from builder.sandbox.mountpoints import BASE_POINTS, Traces, make_stubs, over_stubs
from builder.sandbox.rootfs import mounted
from builder.sandbox.userns import writing_as_root_of
from cache.descriptor import chain_id
from cache.snapshot.api import Mount
from cache.snapshot.merge import copy_directory_metadata
from cache.statedir import remove_tree, write_atomically

if TYPE_CHECKING:
    from builder.runtime.containers import Containers
    from builder.runtime.paths import ContainerPaths
    from builder.sandbox.api import Credentials, MountEntry
    from cache.snapshot.api import Snapshotter

_ROOT_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ContainerRoot:
    """A container's root filesystem while it is mounted."""

    def __init__(
        self, fd: int, mounting: Mounting, traces: tuple[str, ...], *, userxattr: bool
    ) -> None:
        self.fd = fd  # of the root directory
        self.traces = traces  # in the upperdir, of mount points: see `Traces.candidates`
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
    """The root filesystem, mounted for the length of the block: until a process has it as its own.

    What is made for mounts stays until `remove_traces`.
    MountSourceError where something is missing that is to be mounted over it.
    """
    paths = containers.paths(container.container_id)
    mount = writable_mount(container, paths, snapshots)
    os.makedirs(paths.rootfs, 0o700, exist_ok=True)
    os.makedirs(paths.stubs, 0o700, exist_ok=True)
    with ExitStack() as stack:
        mounting = Mounting(containers, snapshots, container, stack)
        points = (*BASE_POINTS, *mounting.points)
        traces = Traces(mount, make_stubs(paths.stubs, points))
        over = over_stubs(mount, paths.stubs)
        shift = stack.enter_context(shown_ids(container, userxattr=mount.userxattr))
        stack.enter_context(mounted(over, paths.rootfs, volatile=False, shift=shift))
        with writing_as_root_of(shift):
            traces.make_missing(paths.rootfs, points)
        if not container.host.auto_remove:
            content = json.dumps(traces.fields()).encode()
            write_atomically(paths.traces, content, durable=False)
        fd = os.open(paths.rootfs, _ROOT_FLAGS)
        stack.callback(os.close, fd)
        yield ContainerRoot(fd, mounting, traces.candidates, userxattr=mount.userxattr)


def remove_traces(container: Container, paths: ContainerPaths, snapshots: Snapshotter) -> None:
    """Take out of the container's layer what a run made for mounts. Idempotent.

    To be called in a private mount namespace, when the container has ended.
    """
    try:
        with open(paths.traces, "rb") as file:
            remembered = parse_object(file.read(), what="list of mount points")
    except FileNotFoundError:
        pass
    else:
        mount = writable_mount(container, paths, snapshots)
        Traces.remembered(mount, remembered).remove(paths.rootfs)
        os.unlink(paths.traces)
    if os.path.isdir(paths.stubs):
        remove_tree(paths.stubs)


def writable_mount(container: Container, paths: ContainerPaths, snapshots: Snapshotter) -> Mount:
    """The image's layers with the container's own above them; that one is made if need be."""
    view = snapshots.view(chain_id(container.diff_ids))
    if view.userxattr:
        view = with_own_ids(container, paths, view)
    if not os.path.isdir(paths.workdir):
        os.makedirs(paths.upperdir, 0o755, exist_ok=True)
        if view.lowerdirs:  # the upperdir's metadata is that of the root directory
            copy_directory_metadata(view.lowerdirs[0], paths.upperdir)
        os.mkdir(paths.workdir, 0o700)
    return Mount(view.lowerdirs, paths.upperdir, paths.workdir, userxattr=view.userxattr)
