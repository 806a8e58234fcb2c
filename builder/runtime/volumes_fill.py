"""An empty volume gets what the image has in its place: files, and the directory's owner and mode.

    volumes/NAME/_data     the volume; a container may have it mounted
    volumes/NAME/filled    the image's files, complete, on their way into _data

They are copied aside, where a killed process leaves litter and nothing else. The complete copy is
renamed to `filled`, and its entries into `_data` one by one; whoever finds a `filled` goes on with
that. So nobody starts with a volume that has half of the files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from builder.kernel.files import rename_new, sync_filesystem
from builder.kernel.paths import open_in_root
from builder.runtime.errors import MountSourceError
from builder.runtime.treecopy import copy_directory_facts, copy_tree
from cache.statedir import remove_tree

if TYPE_CHECKING:
    from builder.runtime.volumes import VolumeMount
    from cache.statedir import StateDir

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def fill(state: StateDir, mount: VolumeMount, root_fd: int, *, userxattr: bool) -> None:
    """Fill the volume if it is empty; `root_fd`: the container's root filesystem, without it."""
    filled, data = state.volume_filled(mount.name), state.volume_data(mount.name)
    with state.lock(f"volume {mount.name}"), _opened(data) as data_fd:
        if os.path.isdir(filled):
            _move_in(filled, data_fd)
        if mount.nocopy or _has_entries(data_fd):
            return
        with _image_directory(root_fd, mount.target) as image_fd:
            if not _has_entries(image_fd):
                _take_owner(image_fd, data_fd)
                return
            _copy_aside(state, image_fd, filled, userxattr=userxattr)
        _move_in(filled, data_fd)


def _copy_aside(state: StateDir, image_fd: int, filled: str, *, userxattr: bool) -> None:
    aside = state.scratch("volume")
    try:
        with _opened(aside) as aside_fd:
            copy_tree(image_fd, aside_fd, userxattr=userxattr)
            sync_filesystem(aside_fd)
        os.rename(aside, filled)
    except BaseException:
        remove_tree(aside)
        raise


def _move_in(filled: str, data_fd: int) -> None:
    """Each entry in one step; what a container has made meanwhile stays as it made it."""
    with _opened(filled) as filled_fd:
        for name in os.listdir(filled_fd):
            with suppress(FileExistsError):
                rename_new(filled_fd, name, data_fd, name)
        copy_directory_facts(filled_fd, data_fd)
    remove_tree(filled)


def _take_owner(image_fd: int, data_fd: int) -> None:
    """The image's owner and mode; where it says nothing by them, what the volume has stays."""
    info = os.fstat(image_fd)
    if (info.st_uid, info.st_gid, info.st_mode & 0o7777) != (0, 0, 0o755):
        copy_directory_facts(image_fd, data_fd)


def _has_entries(directory_fd: int) -> bool:
    with os.scandir(directory_fd) as entries:
        return next(entries, None) is not None


@contextmanager
def _image_directory(root_fd: int, target: str) -> Generator[int, None, None]:
    try:
        fd = open_in_root(root_fd, target, _DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise MountSourceError(
                f"a volume cannot be mounted at {target}: the image has a file there"
            ) from error
        raise
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(directory: str) -> Generator[int, None, None]:
    fd = os.open(directory, _DIRECTORY | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
