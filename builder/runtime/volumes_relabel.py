"""`z` and `Z`: the label by which SELinux lets containers at what is mounted.

Spec: Docker's; shared content is container_file_t for all, private content has the level of the
one container too. Where there is no SELinux nothing is labelled, and nothing needs to be.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder.runtime.errors import MountSourceError
from builder.runtime.volumes_chown import refuse_system_directory
from builder.sandbox import lsm

if TYPE_CHECKING:
    from builder.runtime.volumes import Relabel

_ATTRIBUTE = "security.selinux"
_SHARED = "system_u:object_r:container_file_t:s0"


def relabel(path: str, kind: Relabel, labels: tuple[str, ...]) -> None:
    """Label all in `path`; links are labelled, not followed. `labels`: the container's own options.

    UnsupportedError for a directory of the system's, MountSourceError where no label can be set.
    """
    if not lsm.has_selinux():
        return
    refuse_system_directory(path, "labelled for containers")
    label = os.fsencode(_label(kind, labels)) + b"\0"
    try:
        _set(path, label, follow=True)
        for _, directories, files, directory_fd in os.fwalk(path, follow_symlinks=False):
            for name in (*directories, *files):
                _set(f"/proc/self/fd/{directory_fd}/{name}", label, follow=False)
    except OSError as error:
        raise MountSourceError(
            f"{path} cannot be labelled for SELinux: {error.strerror}",
            hint="leave out z and Z, or --security-opt label=disable",
        ) from error


def _label(kind: Relabel, labels: tuple[str, ...]) -> str:
    process = lsm.process_label(labels) if kind == "private" else ""
    level = process.split(":", 3)[3] if process else ""
    return f"{_SHARED.rpartition(':')[0]}:{level}" if level else _SHARED


def _set(path: str, label: bytes, *, follow: bool) -> None:
    try:
        os.setxattr(path, _ATTRIBUTE, label, follow_symlinks=follow)
    except FileNotFoundError:  # removed meanwhile
        return
