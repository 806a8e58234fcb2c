"""What is left to do when a container has ended. Each part may have been done before.

Called by the client that ran the container in the foreground, by the program that its monitor
becomes, and, for a container whose monitor was killed, by whoever starts it again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.kernel.cgroup import ControlGroup
from builder.runtime.groups import end_group
from builder.runtime.rootfs import remove_traces

if TYPE_CHECKING:
    from builder.runtime.container import Container
    from builder.runtime.containers import Containers
    from cache.snapshot.api import Snapshotter

_GROUP_WAIT_S = 2.0


def is_needed(container: Container) -> bool:
    """Whether a container's end leaves something behind that its monitor can't clean up itself.

    Traces of mount points in its layer don't count: the monitor sees whether there are some.
    """
    networking = container.host.networking
    return (
        container.host.auto_remove
        or bool(container.host.runtime)
        or networking.is_bridged
        or networking.mode == "pasta"
    )


def clean(container: Container, containers: Containers, snapshots: Snapshotter) -> None:
    """Clean up after the container's last run. The caller holds it, in private mounts. Idempotent.

    It stays as an exited one: `finish` removes it as well where it has --rm.
    """
    paths = containers.paths(container.container_id)
    containers.leave_runtime(container.container_id)
    group = ControlGroup.of_texts(containers.state(container.container_id).cgroup)
    if group:
        end_group(group, timeout_s=_GROUP_WAIT_S)
    containers.release_network(container.container_id)
    remove_traces(container, paths, snapshots)


def finish(container: Container, containers: Containers, snapshots: Snapshotter) -> None:
    """Clean up, and remove a container with --rm and its own volumes."""
    if container.host.auto_remove:
        containers.remove(container.container_id, volumes=container.anonymous_volumes)
    else:
        clean(container, containers, snapshots)
        with suppress(FileNotFoundError):
            os.unlink(containers.paths(container.container_id).control)
