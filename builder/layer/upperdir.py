"""Writing a layer's members into an overlay upperdir, however hostile their names are.

Nothing is opened by a path of more than one component, and no link is followed by the kernel: a
name is walked one directory at a time, below the root's descriptor. What a symbolic link of this
layer means on the way is worked out here, as a process that has chroot'ed into the tree would see
it. A link of a layer below on the way is replaced by a directory, as containerd and Docker do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from builder.layer.errors import BadArchiveError
from builder.layer.lowerview import LowerView, Parts, Shown
from builder.layer.tarreader import MemberData
from builder.layer.xattrs import is_kept, read_xattrs, write_xattr
from cache.record import record
from cache.snapshot import marks
from cache.statedir import remove_tree

_MAX_LINKS = 40  # the kernel's own limit
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20


@record
class Attributes:
    """What any inode has."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


_NEW_DIRECTORY = Attributes(mode=0o755, uid=0, gid=0, mtime_ns=0)


class Losses:
    """What could not be kept since this user, or this file system, may not have it."""

    __slots__ = ("devices", "owners", "xattrs")

    def __init__(self) -> None:
        self.devices: list[str] = []
        self.owners = 0  # members whose owner has no id in this user namespace
        self.xattrs = 0


class Upperdir:
    """An upperdir being written. A `with` block: leaving it well completes the directories.

    Until then they are 0700, so that neither a read-only mode nor a set-group-id bit has a say in
    what is written into them, and their times are not yet what they will be.
    """

    def __init__(self, directory: str, below: LowerView, *, userxattr: bool) -> None:
        self.losses = Losses()
        self._below = below
        self._userxattr = userxattr
        self._directories: dict[Parts, Attributes] = {}
        self._implied: set[Parts] = set()  # of them, those that are to be as they are below
        self._opaque: set[Parts] = set()
        self._root = os.open(directory, _DIRECTORY)
        self._here: Parts = ()
        self._here_fd = os.dup(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._complete_directories()
        finally:
            os.close(self._here_fd)
            os.close(self._root)

    @property
    def has_root(self) -> bool:
        """Whether a member said what the root directory is like."""
        return () in self._directories

    def add_directory(self, parts: Parts, attributes: Attributes) -> None:
        if not parts:
            self._directories[()] = attributes
            return
        parent = self._enter(parts[:-1])
        real = (*self._here, parts[-1])
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            status = os.lstat(parts[-1], dir_fd=parent)
            if not stat.S_ISDIR(status.st_mode):
                self._replace_by_directory(parent, real, is_hidden=marks.is_whiteout(status))
        self._directories[real] = attributes
        self._implied.discard(real)

    def add_file(self, parts: Parts, attributes: Attributes, data: MemberData) -> None:
        parent = self._enter(parts[:-1])
        file = self._create(parent, parts[-1])
        try:
            data.copy_to(file)
            self._set_attributes(file, attributes)
        finally:
            os.close(file)

    def add_symlink(self, parts: Parts, attributes: Attributes, target: str) -> None:
        parent = self._enter(parts[:-1])
        self._clear(parent, parts[-1])
        os.symlink(target, parts[-1], dir_fd=parent)
        self._set_attributes_by_name(parent, parts[-1], attributes, is_link=True)

    def add_node(
        self, parts: Parts, attributes: Attributes, kind: int, device: tuple[int, int] = (0, 0)
    ) -> None:
        """A fifo or a device; `kind` is its S_IFMT. Device 0:0 is a whiteout, as overlayfs has it.

        In a user namespace there are no devices: the loss is noted.
        """
        parent = self._enter(parts[:-1])
        self._clear(parent, parts[-1])
        try:
            os.mknod(parts[-1], kind | 0o600, os.makedev(*device), dir_fd=parent)
        except PermissionError:
            self.losses.devices.append("/".join(parts))
            return
        self._set_attributes_by_name(parent, parts[-1], attributes, is_link=False)

    def add_hardlink(self, parts: Parts, target: Parts) -> None:
        """Another name of `target`: a member of this layer, or else a file of those below."""
        if not target:
            raise _bad(parts, "is a hard link to the root directory")
        if "/".join(target) in self.losses.devices:
            self.losses.devices.append("/".join(parts))
            return
        source = os.dup(self._enter(target[:-1]))
        real_target = (*self._here, target[-1])
        try:
            if not self._is_present(source, target[-1]):
                self._copy_up(source, real_target, parts)
            parent = self._enter(parts[:-1])
            if (*self._here, parts[-1]) == real_target:
                return
            self._clear(parent, parts[-1])
            self._link(source, target[-1], parent, parts)
        finally:
            os.close(source)

    def add_whiteout(self, parts: Parts) -> None:
        """Hide what the layers below have at `parts`; what this layer has there stays."""
        parent = self._enter(parts[:-1])
        try:
            marks.make_whiteout(parts[-1], dir_fd=parent)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(parts[-1], dir_fd=parent).st_mode):
                self._make_opaque(parent, (*self._here, parts[-1]))

    def make_opaque(self, parts: Parts) -> None:
        """Hide all that the layers below have in the directory `parts`."""
        directory = self._enter(parts)
        if not self._here:
            for name in self._below.names(()):  # overlayfs has no opaque root
                self.add_whiteout((name,))
            return
        marks.make_opaque(directory, userxattr=self._userxattr)
        self._opaque.add(self._here)

    def _enter(self, parts: Parts) -> int:
        """The directory at `parts`, open until the next call; `_here` is its path without links.

        Made where it is missing, with all above it. BadArchiveError where something else is there.
        """
        if parts == self._here:
            return self._here_fd
        self._go_up(_shared(self._here, parts))
        waiting = list(reversed(parts[len(self._here) :]))
        links = 0
        while waiting:
            name = waiting.pop()
            link = self._step(name)
            if link is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise _bad(parts, "goes through too many links")
            waiting += reversed(_followed(self._here, link))
            self._go_up(())
        return self._here_fd

    def _go_up(self, above: Parts) -> None:
        """Be in a directory that is the present one or above it, or in the root."""
        levels = len(self._here) - len(above)
        if levels > len(above):
            self._be(os.dup(self._root), ())
            return
        while levels:
            self._be(os.open("..", _DIRECTORY, dir_fd=self._here_fd), self._here[:-1])
            levels -= 1

    def _be(self, directory: int, parts: Parts) -> None:
        os.close(self._here_fd)
        self._here_fd, self._here = directory, parts

    def _step(self, name: str) -> str | None:
        """Go down into `name`; where that is a link, stay and say what it says."""
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=self._here_fd)
        except FileNotFoundError:
            directory = self._make_implied(name)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            status = os.lstat(name, dir_fd=self._here_fd)
            if stat.S_ISLNK(status.st_mode):
                return os.readlink(name, dir_fd=self._here_fd)
            if not marks.is_whiteout(status):
                raise _bad((*self._here, name), "is not a directory, but has members") from error
            real = (*self._here, name)
            self._replace_by_directory(self._here_fd, real, is_hidden=True)
            self._directories[real] = _NEW_DIRECTORY
            directory = os.open(name, _DIRECTORY, dir_fd=self._here_fd)
        self._be(directory, (*self._here, name))
        return None

    def _make_implied(self, name: str) -> int:
        """A directory that no member brought along so far: it stays as it is below.

        How that is, is looked up in the end, since the layers below may not be there yet.
        """
        real = (*self._here, name)
        os.mkdir(name, 0o700, dir_fd=self._here_fd)
        self._directories[real] = _NEW_DIRECTORY
        if self._is_see_through(real):
            self._implied.add(real)
        return os.open(name, _DIRECTORY, dir_fd=self._here_fd)

    def _is_see_through(self, parts: Parts) -> bool:
        """Whether the layers below show through at `parts`: no directory above it is opaque."""
        return not self._opaque or not any(
            parts[:depth] in self._opaque for depth in range(len(parts))
        )

    def _replace_by_directory(self, parent: int, real: Parts, *, is_hidden: bool) -> None:
        """Put a directory in a file's place; opaque where that was a whiteout."""
        os.unlink(real[-1], dir_fd=parent)
        os.mkdir(real[-1], 0o700, dir_fd=parent)
        if is_hidden:
            self._make_opaque(parent, real)

    def _make_opaque(self, parent: int, real: Parts) -> None:
        directory = os.open(real[-1], _DIRECTORY, dir_fd=parent)
        try:
            marks.make_opaque(directory, userxattr=self._userxattr)
        finally:
            os.close(directory)
        self._opaque.add(real)

    def _create(self, parent: int, name: str) -> int:
        try:
            return os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            return os.open(name, _NEW_FILE, 0o600, dir_fd=parent)

    def _clear(self, parent: int, name: str) -> None:
        """Remove what an earlier member put in this place: the last one wins."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                raise
            remove_tree(f"/proc/self/fd/{parent}/{name}")
            gone = (*self._here, name)
            for parts in [each for each in self._directories if each[: len(gone)] == gone]:
                del self._directories[parts]
                self._implied.discard(parts)
                self._opaque.discard(parts)

    def _is_present(self, parent: int, name: str) -> bool:
        try:
            return not marks.is_whiteout(os.lstat(name, dir_fd=parent))
        except FileNotFoundError:
            return False

    def _link(self, source: int, name: str, parent: int, parts: Parts) -> None:
        try:
            os.link(name, parts[-1], src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except PermissionError as error:
            raise _bad(parts, "is a hard link to what can't be linked to") from error

    def _copy_up(self, parent: int, real: Parts, wanted_by: Parts) -> None:
        """Bring a file of the layers below into this one, so that it can be linked to."""
        shown = self._below.shown(real) if self._is_see_through(real) else None
        if shown is None or not stat.S_ISREG(shown.status.st_mode):
            raise _bad(wanted_by, f'is a hard link to "{"/".join(real)}", which is not there')
        source = os.open(shown.path, _OLD_FILE)
        try:
            file = self._create(parent, real[-1])
            try:
                while data := os.read(source, _CHUNK):
                    _write_all(file, data)
                self._set_attributes(file, _attributes_of(shown))
            finally:
                os.close(file)
        finally:
            os.close(source)

    def _complete_directories(self) -> None:
        for parts in sorted(self._directories, reverse=True):  # what is inside comes first
            shown = self._below.shown_directory(parts) if parts in self._implied else None
            attributes = self._directories[parts] if shown is None else _attributes_of(shown)
            self._enter(parts)
            self._set_attributes(self._here_fd, attributes)

    def _set_attributes(self, file: int, attributes: Attributes) -> None:
        """Owner first: changing it takes setuid bits and capabilities away."""
        try:
            os.fchown(file, attributes.uid, attributes.gid)
        except OSError as error:
            self._lose_owner(error)
        os.fchmod(file, attributes.mode)
        self._set_xattrs(file, attributes.xattrs)
        os.utime(file, ns=(attributes.mtime_ns, attributes.mtime_ns))

    def _set_attributes_by_name(
        self, parent: int, name: str, attributes: Attributes, *, is_link: bool
    ) -> None:
        """The same for what can't be opened."""
        try:
            os.chown(name, attributes.uid, attributes.gid, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            self._lose_owner(error)
        if not is_link:
            os.chmod(name, attributes.mode, dir_fd=parent)
        self._set_xattrs(f"/proc/self/fd/{parent}/{name}", attributes.xattrs)
        times = (attributes.mtime_ns, attributes.mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _set_xattrs(self, target: int | str, xattrs: Sequence[tuple[bytes, bytes]]) -> None:
        for name, value in xattrs:
            if is_kept(os.fsdecode(name)) and not write_xattr(target, name, value):
                self.losses.xattrs += 1

    def _lose_owner(self, error: OSError) -> None:
        if error.errno not in {errno.EINVAL, errno.EPERM}:
            raise error
        self.losses.owners += 1


def _shared(one: Parts, other: Parts) -> Parts:
    """What both paths begin with."""
    depth = 0
    for name, other_name in zip(one, other, strict=False):
        if name != other_name:
            break
        depth += 1
    return one[:depth]


def _followed(here: Parts, link: str) -> list[str]:
    """Where a link in the directory `here` leads, from the root; ".." stops there."""
    parts = [] if link.startswith("/") else list(here)
    for name in link.split("/"):
        if name == "..":
            del parts[-1:]
        elif name not in {"", "."}:
            parts.append(name)
    return parts


def _attributes_of(shown: Shown) -> Attributes:
    status = shown.status
    names = os.listxattr(shown.path, follow_symlinks=False)
    return Attributes(
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        read_xattrs(shown.path, names),
    )


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _bad(parts: Parts, what: str) -> BadArchiveError:
    return BadArchiveError(f'"{"/".join(parts)[:200]}" in the archive {what}')
