"""`U`: what is mounted becomes the container's user's."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.errors import UnsupportedError

if TYPE_CHECKING:
    from builder.sandbox.api import Credentials

_SYSTEM = frozenset(
    {"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root"}
    | {"/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib"}  # noqa: S108 - names
)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def refuse_system_directory(path: str, what: str) -> None:
    """UnsupportedError for what the system needs as it is."""
    if os.path.realpath(path) in _SYSTEM:
        raise UnsupportedError(
            f"{path} is not {what}: the system needs it as it is",
            hint="mount a directory inside it, or leave the flag out",
        )


def give(path: str, credentials: Credentials) -> None:
    """Make the user the owner of all in `path`, unless the owner of `path` itself is that already.

    Links are given, not followed. UnsupportedError for a directory of the system's.
    """
    refuse_system_directory(path, "given to the container's user")
    owner = (credentials.uid, credentials.gid)
    status = os.stat(path)
    if (status.st_uid, status.st_gid) == owner:
        return
    if os.path.isdir(path):
        directory_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _give_entries(directory_fd, owner)
        finally:
            os.close(directory_fd)
    os.chown(path, *owner)  # last: until then a killed process's successor does it again


def _give_entries(directory_fd: int, owner: tuple[int, int]) -> None:
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process may write there, too
                if entry.is_dir(follow_symlinks=False):
                    inner_fd = os.open(entry.name, _DIRECTORY, dir_fd=directory_fd)
                    try:
                        _give_entries(inner_fd, owner)
                    finally:
                        os.close(inner_fd)
                os.chown(entry.name, *owner, dir_fd=directory_fd, follow_symlinks=False)
