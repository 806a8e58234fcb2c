"""A container's changes to a layer and an image config."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig
from builder.runtime.container import Container
from builder.runtime.control import paused
from builder.runtime.shifting import give_back
from builder.runtime.treecopy import copy_tree
from cache.record import replace

if TYPE_CHECKING:
    from builder.runtime.paths import ContainerPaths
    from cache.descriptor import ChainId
    from cache.digest import Digest
    from cache.snapshot.api import ActiveSnapshot, Snapshotter

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def captured_changes(
    container: Container,
    paths: ContainerPaths,
    parent: ChainId,
    snapshots: Snapshotter,
    *,
    pause: bool,
) -> Generator[ActiveSnapshot, None, None]:
    """What the container has changed, as a snapshot over `parent` that nobody else writes to.

    Copied, not moved and not linked: the container goes on to write to its own files in place. With
    `pause` its processes are held still while their files are copied. The block commits the
    snapshot; what it leaves is discarded.
    """
    active = snapshots.prepare(parent)
    try:
        if pause:
            with paused(paths):
                _copy(paths.upperdir, active)
        else:
            _copy(paths.upperdir, active)
        if active.mount.userxattr:
            give_back(container.host, active.upperdir)
        yield active
    finally:
        snapshots.discard(active)


def _copy(upperdir: str, active: ActiveSnapshot) -> None:
    try:
        source_fd = os.open(upperdir, _DIRECTORY)
    except FileNotFoundError:  # it was never started
        return
    try:
        target_fd = os.open(active.upperdir, _DIRECTORY)
        try:
            copy_tree(source_fd, target_fd, userxattr=active.mount.userxattr)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def committed_config(
    base: ImageConfig,
    container: Container,
    config: ContainerConfig,
    *,
    diff_id: Digest | None,
    created: str,
    author: str,
    message: str,
) -> ImageConfig:
    """The config of the image: `base`'s with one more entry of history. Without layer: no diff_id.

    `config` is the container's, with the asked changes put in.
    """
    entry = HistoryEntry(
        created=created,
        created_by=" ".join(container.args),
        author=author,
        comment=message,
        empty_layer=diff_id is None,
    )
    return replace(
        base,
        config=config,
        diff_ids=base.diff_ids if diff_id is None else (*base.diff_ids, diff_id),
        history=(*base.history, entry),
        created=created,
        author=author,
    )
