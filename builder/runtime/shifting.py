"""A container's files under the ids of its own user namespace.

As root the kernel shows them so (idmapped mounts), and on disk nothing changes. An ordinary user's
kernel doesn't: there the image is copied once for the container, its owners changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.runtime.assigning import id_maps
from builder.runtime.errors import InvalidOptionError
from builder.sandbox.api import IdMaps
from builder.sandbox.rootfs import mounted
from builder.sandbox.userns import Shift, outside, shift_of
from cache.snapshot.api import Mount
from cache.statedir import remove_tree

if TYPE_CHECKING:
    from builder.runtime.container import Container, HostConfig
    from builder.runtime.paths import ContainerPaths

_CAPABILITY = "security.capability"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def shown_ids(container: Container, *, userxattr: bool) -> Generator[Shift | None, None, None]:
    """What the container's root filesystem is to be mounted with; None where it is as on disk."""
    maps = id_maps(container.host)
    if maps is None or userxattr:
        yield None
        return
    with shift_of(maps) as shift:
        yield shift


def give_to_root_of(host: HostConfig, files: Iterable[str]) -> None:
    """Make the root of the container's user namespace the owner of files that are its own."""
    maps = id_maps(host)
    if maps is not None:
        for path in files:
            os.chown(path, _changed(maps.uids, 0, path), _changed(maps.gids, 0, path))


def with_own_ids(container: Container, paths: ContainerPaths, view: Mount) -> Mount:
    """The image's layers with owners that the container's ids are; copied where that is needed.

    InvalidOptionError where a file's owner is none of the container's ids.
    """
    maps = id_maps(container.host)
    if maps is None or not view.lowerdirs:
        return view
    if not os.path.isdir(paths.shifted):
        aside = f"{paths.shifted}.new"
        remove_tree(aside)
        _copy(view, paths.rootfs, aside, maps)
        os.rename(aside, paths.shifted)
    return Mount((paths.shifted,), userxattr=view.userxattr)


def give_back(host: HostConfig, directory: str) -> None:
    """Undo in a copy of the container's files what `with_own_ids` did to their owners."""
    maps = id_maps(host)
    if maps is None:
        return
    uids, gids = (
        tuple((start, inside, count) for inside, start, count in ranges)
        for ranges in (maps.uids, maps.gids)
    )
    fd = os.open(directory, _DIRECTORY)
    try:
        _change_owners(fd, IdMaps(uids, gids))
    finally:
        os.close(fd)


def _copy(view: Mount, place: str, target_dir: str, maps: IdMaps) -> None:
    from builder.runtime.treecopy import copy_tree  # noqa: PLC0415 - for few containers

    os.makedirs(place, 0o700, exist_ok=True)
    os.mkdir(target_dir, 0o700)
    with mounted(view, place, volatile=False):
        source_fd, target_fd = (os.open(each, _DIRECTORY) for each in (place, target_dir))
        try:
            copy_tree(source_fd, target_fd, userxattr=view.userxattr)
            _change_owners(target_fd, maps)
        finally:
            os.close(source_fd)
            os.close(target_fd)


def _change_owners(root_fd: int, maps: IdMaps) -> None:
    """Of all files below; nobody else can change the tree meanwhile."""
    seen: set[int] = set()  # a file with several names is changed once
    for place, _, files, directory_fd in os.fwalk(".", topdown=False, dir_fd=root_fd):
        names = [name for name in files if not _is_directory(name, directory_fd)]
        for name in names:
            status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
            if status.st_nlink == 1 or status.st_ino not in seen:
                seen.add(status.st_ino)
                _change_owner(name, directory_fd, status, maps, os.path.join(place, name))
        _change_owner(".", directory_fd, os.fstat(directory_fd), maps, place)


def _is_directory(name: str, directory_fd: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode)


def _change_owner(
    name: str, directory_fd: int, status: os.stat_result, maps: IdMaps, shown: str
) -> None:
    """With all that a change of the owner takes away: set-id bits, capabilities, times."""
    path = f"/proc/self/fd/{directory_fd}/{name}"
    capability = _capability(path) if stat.S_ISREG(status.st_mode) else None
    uid = _changed(maps.uids, status.st_uid, shown)
    gid = _changed(maps.gids, status.st_gid, shown)
    os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)
    if capability is not None:
        os.setxattr(path, _CAPABILITY, capability, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o6000:
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=directory_fd)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=directory_fd, follow_symlinks=False)


def _capability(path: str) -> bytes | None:
    try:
        return os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:  # it has none
        return None


def _changed(ranges: tuple[tuple[int, int, int], ...], number: int, shown: str) -> int:
    changed = outside(ranges, number)
    if changed is None:
        raise InvalidOptionError(
            f"--userns: {shown} in the image belongs to id {number}, which the container hasn't",
            hint="ask for more ids: --userns auto:size=65536",
        )
    return changed
