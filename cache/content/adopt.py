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
    if renewed(state, digest):
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


def renewed(state: StateDir, digest: Digest) -> bool:
    """Make a blob young again, for whom a sweep spares what may be about to get a name.

    Whether it is there. Its times don't change, which another name of the file may show.
    """
    path = state.blob(digest)
    if not os.path.exists(path):
        return False
    with state.lock(renewal_of(digest)):
        try:
            known = os.stat(path)
            os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))  # its ctime is now
        except FileNotFoundError:
            return False
    return True


def renewal_of(digest: Digest) -> str:
    """The name of the lock under which a blob is renewed, or removed for its age."""
    return f"renew {digest}"


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
