"""WORKDIR: the directory is made in a layer of its own, with those above it that are missing."""

from __future__ import annotations

import time

from builder.errors import StepFailedError
from builder.graph.model import WorkdirOp
from builder.layer.pack import pack
from builder.location import Span
from builder.worker.copy_owner import names_owner, owner_of
from builder.worker.target_tree import DirectoryAttributes, TargetTree
from cache.descriptor import Layer
from cache.snapshot.api import ActiveSnapshot

_SECOND_NS = 1_000_000_000


def make_workdir(
    op: WorkdirOp,
    rootfs_dir: str,
    active: ActiveSnapshot,
    *,
    userxattr: bool,
    span: Span | None,
) -> Layer:
    """The layer: empty where the directory is there already, whatever its mode and owner."""
    uid, gid = _owner(op.user, rootfs_dir, span)
    latest_ns = None if op.epoch is None else op.epoch * _SECOND_NS
    now_ns = time.time_ns()
    target = TargetTree(
        active.upperdir,
        rootfs_dir,
        new_directory=DirectoryAttributes(
            0o755, uid, gid, now_ns if latest_ns is None else min(now_ns, latest_ns)
        ),
        userxattr=userxattr,
        latest_ns=latest_ns,
    )
    path = target.resolve(op.dir)
    if not target.is_directory(path):
        target.make_directories(path)
    target.finish()
    return pack(active.upperdir, userxattr=userxattr)


def _owner(user: str, rootfs_dir: str, span: Span | None) -> tuple[int, int]:
    """As --chown has it; a name that the image lacks counts as root, as BuildKit has it.

    USER may name whom a later step makes; a RUN in between fails by itself.
    """
    if not names_owner(user):
        return owner_of(user, rootfs_dir, span) or (0, 0)
    try:
        return owner_of(user, rootfs_dir, span) or (0, 0)
    except StepFailedError:
        return 0, 0
