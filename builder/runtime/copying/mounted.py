"""A container's files as the container sees them, whether it runs or not."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.kernel import mount
from builder.kernel.libc import AT_FDCWD
from builder.kernel.paths import open_in_root
from builder.runtime import control
from builder.runtime.rootfs import container_rootfs, remove_traces
from builder.sandbox.api import BindEntry, Credentials
from builder.sandbox.rootfs import mounted
from cache.descriptor import chain_id
from cache.snapshot.api import Mount

if TYPE_CHECKING:
    from builder.runtime.container import Container
    from builder.runtime.containers import Containers
    from cache.snapshot.api import Snapshotter
    from cache.statedir import StateDir

_OWN_FD = "/proc/self/fd/"


@contextmanager
def container_files(
    container: Container, containers: Containers, snapshots: Snapshotter
) -> Generator[int, None, None]:
    """A descriptor of its root directory, with its volumes and binds inside.

    A running one's are those that its processes see. ContainerRunningError where another command
    has just taken it.
    """
    paths = containers.paths(container.container_id)
    running = containers.report(container).is_running
    root_fd = control.open_root(paths) if running else None
    if root_fd is not None:
        try:
            yield root_fd
        finally:
            os.close(root_fd)
        return
    with ExitStack() as stack:
        stack.enter_context(containers.held(container.container_id))
        stack.callback(remove_traces, container, paths, snapshots)
        root = stack.enter_context(container_rootfs(container, containers, snapshots))
        for entry in root.mounts(Credentials()):
            if isinstance(entry, BindEntry):  # a tmpfs has nothing in it while it isn't running
                _attach(entry, root.fd)
        if container.host.readonly_rootfs:
            mount.set_attributes(root.fd, mount.ATTR_RDONLY)
        yield root.fd


def _attach(entry: BindEntry, root_fd: int) -> None:
    """In this command's own mount namespace: gone when it ends."""
    number = entry.source.removeprefix(_OWN_FD)
    if entry.source.startswith(_OWN_FD) and number.isdigit():
        tree_fd = mount.clone_visible(int(number), recursive=entry.recursive)
    else:
        tree_fd = mount.clone_visible(AT_FDCWD, entry.source, recursive=entry.recursive)
    try:
        attributes = mount.ATTR_NODEV | (mount.ATTR_RDONLY if entry.readonly else 0)
        mount.set_attributes(tree_fd, attributes, recursive=True, propagation=mount.MS_PRIVATE)
        target_fd = open_in_root(root_fd, entry.target, os.O_PATH)
        try:
            mount.attach(tree_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(tree_fd)


@contextmanager
def own_files(
    container: Container, containers: Containers, snapshots: Snapshotter, state: StateDir
) -> Generator[int, None, None]:
    """A descriptor of the root directory of the image with the container's changes, read-only.

    Nothing is mounted inside. The container may run: what it writes meanwhile may be seen or not.
    """
    paths = containers.paths(container.container_id)
    view = snapshots.view(chain_id(container.diff_ids))
    upper = (paths.upperdir,) if os.path.isdir(paths.upperdir) else ()
    at = state.scratch("export")
    whole = Mount((*upper, *view.lowerdirs), None, None, userxattr=view.userxattr)
    with mounted(whole, at, volatile=False):
        root_fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root_fd
        finally:
            os.close(root_fd)
    os.rmdir(at)
