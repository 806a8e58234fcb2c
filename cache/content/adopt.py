"""A blob that lies in a file already becomes the store's, without copying where that can be.

The caller has read and checked the file. Its owner may still change it: like any other blob it is
checked again whenever it is read.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from cache.digest import Digest
from cache.statedir import StateDir

_FICLONE = 0x40049409
_COPY_BYTES = 1 << 30


def adopt_file(state: StateDir, path: str, digest: Digest) -> None:
    """Make the file's content the blob `digest`: by reflink, else hard link, else copy.

    Idempotent; the blob appears in one step.
    """
    target = state.blob(digest)
    if os.path.exists(target):
        return
    directory = state.scratch("blob")
    aside = os.path.join(directory, "blob")
    try:
        if not _reflink(path, aside) and not _link(path, aside):
            _copy(path, aside)
        os.rename(aside, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(aside)
        os.rmdir(directory)


def _reflink(path: str, aside: str) -> bool:
    with open(path, "rb") as source, open(aside, "xb") as target:
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        except OSError:  # another file system, or one without shared extents
            os.unlink(aside)
            return False
        os.fsync(target.fileno())
    return True


def _link(path: str, aside: str) -> bool:
    try:
        os.link(os.path.realpath(path), aside)
    except OSError:  # another file system, or somebody else's file
        return False
    return True


def _copy(path: str, aside: str) -> None:
    with open(path, "rb") as source, open(aside, "xb") as target:
        while os.sendfile(target.fileno(), source.fileno(), None, _COPY_BYTES):
            pass
        os.fsync(target.fileno())
