"""The mounts that the caller asks for: binds, tmpfs, writable views of a tree."""

from __future__ import annotations

import os

from builder.kernel import mount
from builder.kernel.libc import AT_FDCWD
from builder.sandbox.child.request import BindMount, Mount, OverlayMount, Request, TmpfsMount
from builder.sandbox.child.targets import is_directory, open_target
from builder.sandbox.child.wire import Report

_TREE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def prepare(request: Request, report: Report) -> list[tuple[str, int]]:
    """(target, unattached mount) of each, in order; while the host's files can still be named."""
    prepared: list[tuple[str, int]] = []
    nodev = 0 if request.devices_usable else mount.ATTR_NODEV
    for entry in request.mounts:
        report.doing("mount", entry.target)
        tree_fd = _made(entry, rootless=request.rootless, nodev=nodev)
        prepared.append((entry.target, tree_fd))
    return prepared


def _made(entry: Mount, *, rootless: bool, nodev: int) -> int:
    match entry:
        case BindMount():
            return _bind(entry, nodev)
        case TmpfsMount():
            # owned by 0 also in a new user namespace, whose root this process is not yet
            options = ("uid=0", "gid=0", *entry.options)
            return mount.new_filesystem("tmpfs", options, entry.attributes)
        case OverlayMount():
            return _overlay(entry, rootless=rootless, nodev=nodev)


def _bind(entry: BindMount, nodev: int) -> int:
    tree_fd = entry.source_fd  # cloned by the caller: a mount of another namespace is not for us
    if tree_fd < 0:
        tree_fd = mount.clone_visible(AT_FDCWD, entry.source, recursive=entry.recursive)
    attributes = nodev | entry.attributes
    if attributes:
        mount.set_attributes(tree_fd, attributes, recursive=True)
    mount.set_attributes(
        tree_fd,
        0,
        recursive=bool(entry.propagation & mount.MS_REC),
        propagation=entry.propagation & ~mount.MS_REC,
    )
    return tree_fd


def _overlay(entry: OverlayMount, *, rootless: bool, nodev: int) -> int:
    """By descriptors' names: short, and with no character that an option must escape."""
    opened = [os.open(path, _TREE) for path in (entry.lowerdir, entry.upperdir, entry.workdir)]
    lower, upper, work = (f"/proc/self/fd/{fd}" for fd in opened)
    own = ("userxattr",) if rootless else ("redirect_dir=off", "metacopy=off")
    options = (f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}", "volatile", *own)
    tree_fd = mount.new_filesystem("overlay", options, nodev)
    for fd in opened:
        os.close(fd)
    return tree_fd


def attach(prepared: list[tuple[str, int]], root_fd: int, report: Report) -> None:
    """Put them in the root filesystem, in order: a later one may lie in an earlier one."""
    for target, tree_fd in prepared:
        report.doing("mount", target)
        target_fd = open_target(root_fd, target, is_directory=is_directory(tree_fd))
        mount.attach(tree_fd, target_fd)
        os.close(target_fd)
        os.close(tree_fd)
