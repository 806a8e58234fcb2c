"""The destination of a COPY: what the image has below, with what the step has written over it.

Writes go straight to the new snapshot's directory, an overlay upperdir that nobody else sees yet.
What lies below is a read-only view of the image. A directory that both have is one directory, as
overlayfs will show it. Directories get their owner, mode and times when the step is done with them:
until then they are 0700, so that neither a set-group-id bit nor an odd mode has a say in
what is written into them.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from builder.errors import StepFailedError
from builder.layer.xattrs import read_xattrs, write_xattr
from builder.worker.source_tree import failure_of, resolve, xattr_names
from cache.record import record
from cache.snapshot.marks import make_opaque
from cache.statedir import remove_tree

Xattrs = tuple[tuple[bytes, bytes], ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@record
class DirectoryAttributes:
    """What a directory of the destination gets in the end."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    xattrs: Xattrs = ()


class TargetTree:
    """Paths are relative to the image's root, without links above their last component.

    A `with` block; leaving it well gives the directories what they are to have.
    """

    def __init__(
        self,
        upper_dir: str,
        lower_dir: str | None,
        *,
        new_directory: DirectoryAttributes,
        userxattr: bool,
        latest_ns: int | None = None,
    ) -> None:
        """`new_directory`: for those made on the way; `latest_ns`: no file's time is later."""
        self._upper = upper_dir
        self._lower = lower_dir
        self.new_directory = new_directory
        self._userxattr = userxattr
        self._latest_ns = latest_ns
        self._hidden: set[str] = set()  # where something else stood: the image shows nothing below
        self._opaque: set[str] = set()  # those where that was a directory
        self._written: dict[str, DirectoryAttributes] = {"": self._root_attributes()}

    def _root_attributes(self) -> DirectoryAttributes:
        attributes = self._attributes(self._upper, os.lstat(self._upper))
        os.chmod(self._upper, 0o700)
        return attributes

    def occupied(self, path: str) -> frozenset[str]:
        """The names that are in the directory `path`, in the layer and below."""
        names = set(os.listdir(self.above(path)))
        below = self.below(path)
        if below is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                names.update(os.listdir(below))
        return frozenset(names)

    def _attributes(self, path: str, status: os.stat_result) -> DirectoryAttributes:
        return DirectoryAttributes(
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            self.clamped(status.st_mtime_ns),
            read_xattrs(path, xattr_names(path)),
        )

    def clamped(self, mtime_ns: int) -> int:
        """`mtime_ns`, or the latest time that a file of this layer may have."""
        latest_ns = self._latest_ns
        return mtime_ns if latest_ns is None or mtime_ns <= latest_ns else latest_ns

    def above(self, path: str) -> str:
        """Where `path` is in the new snapshot's directory."""
        return f"{self._upper}/{path}" if path else self._upper

    def below(self, path: str) -> str | None:
        """Where `path` may be in the image's view; None where nothing of the image shows there."""
        if self._lower is None or self._is_hidden(path):
            return None
        return f"{self._lower}/{path}" if path else self._lower

    def _is_hidden(self, path: str) -> bool:
        if not self._hidden:
            return False
        while path:
            if path in self._hidden:
                return True
            path = path.rpartition("/")[0]
        return "" in self._hidden

    def status(self, path: str) -> os.stat_result | None:
        """What is at `path` now; None where nothing is."""
        try:
            return os.lstat(self.above(path))
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            return None
        below = self.below(path)
        if below is None:
            return None
        try:
            return os.lstat(below)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_directory(self, path: str) -> bool:
        """Whether a directory is at `path` now."""
        status = self.status(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def resolve(self, path: str) -> str:
        """`path` with all its links followed inside the image; what is missing stays as it is."""
        try:
            return resolve(path, self.status, self.link)
        except OSError as error:
            raise failure_of(error, path) from error

    def link(self, path: str) -> str:
        """What the link at `path` says."""
        try:
            return os.readlink(self.above(path))
        except FileNotFoundError:
            below = self.below(path)
            if below is None:
                raise
            return os.readlink(below)

    def make_directories(self, path: str, attributes: DirectoryAttributes | None = None) -> None:
        """Have the directory `path` with all above it.

        What is missing is made with `attributes`, or as `new_directory`.
        """
        if path in self._written:
            return
        parent = path.rpartition("/")[0]
        self.make_directories(parent, attributes)
        status = self.status(path)
        if status is None:
            self.make_directory(path, attributes or self.new_directory)
        elif stat.S_ISDIR(status.st_mode):
            self.copy_up(path, status)
        else:
            raise StepFailedError(f'"/{path}" is not a directory')

    def copy_up(self, path: str, status: os.stat_result) -> None:
        """A directory of the image, still as it is there, becomes part of the new layer.

        Its parent is part of it already; nothing is done where it is, too.
        """
        if path not in self._written:
            below = self.below(path)
            assert below is not None, path
            self.make_directory(path, self._attributes(below, status))

    def make_directory(self, path: str, attributes: DirectoryAttributes) -> None:
        """A new directory in the layer, or other attributes for one that is in it already."""
        if path not in self._written:
            os.mkdir(self.above(path), 0o700)
        self._written[path] = attributes

    def open_directory(self, path: str) -> int:
        """A directory of the layer, for writing into it by its descriptor."""
        return os.open(self.above(path), _DIRECTORY)

    def is_written(self, path: str) -> bool:
        """Whether the directory is part of the new layer."""
        return path in self._written

    def attributes(self, path: str) -> DirectoryAttributes:
        """What a directory of the layer will have."""
        return self._written[path]

    def make_room(self, path: str) -> None:
        """A file, link or special file is about to be made at `path`: what is there goes.

        StepFailedError where that is a directory.
        """
        if self.is_directory(path):
            raise StepFailedError(
                f'cannot replace directory "/{path}" with a file',
                hint="copy into the directory, with a / at the end, or to another name",
            )
        self.replace(path)

    def replace(self, path: str) -> bool:
        """As `make_room`, but a directory goes too, as archives have it. Whether one was there."""
        was_directory = self.is_directory(path)
        self._hide(path)
        if path in self._written:
            self._remove_written(path)
        else:
            with suppress(FileNotFoundError):  # it is the image's: what comes next hides it
                os.unlink(self.above(path))
        return was_directory

    def _hide(self, path: str) -> None:
        below = self.below(path)
        if below is not None and os.path.lexists(below):
            if stat.S_ISDIR(os.lstat(below).st_mode):
                self._opaque.add(path)
            self._hidden.add(path)

    def _remove_written(self, path: str) -> None:
        remove_tree(self.above(path))
        below = path + "/"
        for one in [one for one in self._written if one == path or one.startswith(below)]:
            del self._written[one]

    def finish(self) -> None:
        """Give all directories of the layer what they are to have, the deepest first."""
        for path in sorted(self._written, key=_depth, reverse=True):
            attributes = self._written[path]
            directory = self.open_directory(path)
            try:
                if path in self._opaque:
                    make_opaque(directory, userxattr=self._userxattr)
                set_attributes(directory, path, attributes)
            finally:
                os.close(directory)


def set_attributes(directory: int, path: str, attributes: DirectoryAttributes) -> None:
    """Owner first, since changing it clears bits of the mode; times last."""
    give(directory, path, attributes.uid, attributes.gid)
    os.fchmod(directory, attributes.mode)
    for name, value in attributes.xattrs:
        write_xattr(directory, name, value)
    os.utime(directory, ns=(attributes.mtime_ns, attributes.mtime_ns))


def give(target: int, path: str, uid: int, gid: int) -> None:
    """Change the owner of what is open as `target`; `path` is for the message."""
    if not uid and not gid:
        return
    try:
        os.fchown(target, uid, gid)
    except OSError as error:
        raise owner_failure(error, path, uid, gid) from error


def owner_failure(error: OSError, path: str, uid: int, gid: int) -> StepFailedError:
    """Why a file can't belong to `uid` and `gid`."""
    hint = None
    if error.errno in {errno.EINVAL, errno.EPERM}:
        hint = (
            "without root, a build has the ids of its user's ranges in /etc/subuid and /etc/subgid"
            " only: make the ranges larger, or use --chown=0:0"
        )
    return StepFailedError(f'"/{path}" cannot be given to {uid}:{gid}: {error.strerror}', hint=hint)


def _depth(path: str) -> int:
    return path.count("/") + (path != "")
