"""A user namespace of a process's own: which ids it has, and a mount's files under other ids.

The maps are written by this process, whose own user namespace is the parent. So what is outside
in them are ids as this process counts them: all of them as root, else its own and the subordinate
ones from 0 on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from builder.errors import IsolationError
from builder.kernel import capabilities, mount
from builder.kernel.libc import AT_FDCWD
from builder.kernel.process import set_fs_ids
from builder.sandbox.api import Hooks, IdMaps
from cache.record import record, replace

_SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_HOLDER = (
    "import os, sys; sys.path.append({!r}); from builder.kernel import namespaces, process;"
    "process.die_with_parent(); namespaces.unshare(namespaces.CLONE_NEWUSER); os.write(1, b'.');"
    "os.read(0, 1)"
)


@record
class Shift:
    """Lets the ids of files on disk be seen as those of a user namespace."""

    namespace_fd: int
    root_uid: int  # what 0 is outside: whoever writes for the namespace's root
    root_gid: int


def outside(ranges: tuple[tuple[int, int, int], ...], number: int) -> int | None:
    """The id outside that `number` inside is; None where it is not mapped."""
    for inside, start, count in ranges:
        if inside <= number < inside + count:
            return start + number - inside
    return None


def with_maps(maps: IdMaps | None, hooks: Hooks) -> Hooks:
    """The hooks, before which a new process gets its maps."""
    if maps is None:
        return hooks

    def on_clone(pid: int) -> None:
        write_maps(pid, maps)
        if hooks.on_clone is not None:
            hooks.on_clone(pid)

    return replace(hooks, on_clone=on_clone)


def write_maps(pid: int, maps: IdMaps) -> None:
    """Give the new user namespace of `pid` its ids. IsolationError where it may not have them."""
    for name, ranges in (("uid_map", maps.uids), ("gid_map", maps.gids)):
        text = "".join(f"{inside} {start} {count}\n" for inside, start, count in ranges)
        try:
            fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise IsolationError(
                f"the user namespace cannot have the ids {text.splitlines()}: {error.strerror}",
                hint="ids that pybuild itself doesn't have can't be given on: see --userns",
            ) from error


@contextmanager
def shift_of(maps: IdMaps) -> Generator[Shift, None, None]:
    """For mounts that show files on disk under the ids that `maps` has."""
    with _namespace(maps) as fd:
        root_uid, root_gid = outside(maps.uids, 0), outside(maps.gids, 0)
        assert root_uid is not None, "the map of --userns begins with 0"
        assert root_gid is not None, "the map of --userns begins with 0"
        yield Shift(fd, root_uid, root_gid)


@contextmanager
def _namespace(maps: IdMaps) -> Generator[int, None, None]:
    """A descriptor of a user namespace with these maps, in which nothing runs.

    A program of its own makes it: this process may have threads, and those can't be forked or
    moved to another user namespace.
    """
    go_here, go_there = os.pipe2(os.O_CLOEXEC)
    ready_here, ready_there = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, go_here, 0), (os.POSIX_SPAWN_DUP2, ready_there, 1)]
    argv = [sys.executable, "-I", "-S", "-E", "-c", _HOLDER.format(_SOURCE_DIR)]
    pid = os.posix_spawn(sys.executable, argv, {}, file_actions=actions)
    os.close(ready_there)
    try:
        if not os.read(ready_here, 1):
            raise IsolationError(
                "the kernel denies a user namespace", hint="/proc/sys/user/max_user_namespaces"
            )
        write_maps(pid, maps)
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for each in (go_here, go_there, ready_here):
            os.close(each)
        os.waitpid(pid, 0)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def writing_as_root_of(shift: Shift | None) -> Generator[None, None, None]:
    """Files that this thread makes in the block are of the namespace's root; all it may, it may."""
    if shift is None:
        yield
        return
    permitted = capabilities.get_sets()[1]
    set_fs_ids(shift.root_uid, shift.root_gid)
    capabilities.set_sets(effective=permitted, permitted=permitted)  # the change took some away
    try:
        yield
    finally:
        set_fs_ids(0, 0)
        capabilities.set_sets(effective=permitted, permitted=permitted)


def shifted_clone(directory: str, shift: Shift) -> int:
    """A mount of the directory, attached nowhere, whose files have the ids of the namespace.

    IsolationError where its file system can't do that.
    """
    tree_fd = mount.clone_tree(AT_FDCWD, directory)
    try:
        mount.set_idmap(tree_fd, shift.namespace_fd)
    except OSError as error:
        os.close(tree_fd)
        raise IsolationError(
            f"files cannot be shown under the container's ids: {error.strerror}",
            hint="--userns needs Linux 5.19 and a store on ext4, xfs, btrfs or tmpfs; "
            "--userns host does without",
        ) from error
    return tree_fd
