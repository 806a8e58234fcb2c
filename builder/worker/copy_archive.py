"""ADD of an archive: its members into the destination, as a process would that has it for its root.

An archive is known by its content, not by its name. Absolute names, `..` and links on the way stay
below the destination; a link that is there is followed. The last of several members of one name
wins, whatever the kinds; what a member replaces goes. Directories that members only imply are 0755
and root's. Numeric owners count.
"""

from __future__ import annotations

import os
import posixpath
import stat

from builder.errors import StepFailedError
from builder.layer.compress import decompressed
from builder.layer.errors import BadArchiveError
from builder.layer.tarreader import Member, is_archive, read_members
from builder.layer.whiteout import is_reserved
from builder.layer.xattrs import is_kept, write_xattr
from builder.worker.copy_file import CREATE, READ, check_unchanged, copy_file
from builder.worker.copy_select import Match
from builder.worker.copy_walk import fingerprint_of
from builder.worker.source_tree import failure_of, resolve
from builder.worker.target_tree import DirectoryAttributes, TargetTree, give, owner_failure
from cache.digest import Reader
from cache.record import replace


def unpack(
    match: Match,
    target: TargetTree,
    dest: str,
    owner: tuple[int, int] | None,
    *,
    limit_bytes: int | None = None,
) -> int | None:
    """Unpack the file of `match` into the directory `dest`; None where it is no archive.

    Else its fingerprint. `owner` None: as each member has it. StepFailedError for an archive that
    is damaged, longer than `limit_bytes` as a plain tar, or that holds what can't be made.
    """
    if match.is_dir:
        return None
    file = match.tree.open(match.path, READ)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not _is_archive(file):
            return None
        os.lseek(file, 0, os.SEEK_SET)
        plain = decompressed(_File(file), limit_bytes=limit_bytes)
        unpack_members(plain, target, dest, owner=owner)
        if match.tree.is_context:
            check_unchanged(file, status, match.path)
    except BadArchiveError as error:
        raise StepFailedError(f'"{match.path}": {error.message}', hint=error.hint) from error
    finally:
        os.close(file)
    return fingerprint_of(0, [(posixpath.basename(match.path), status)])


def unpack_members(
    plain: Reader, target: TargetTree, dest: str, *, owner: tuple[int, int] | None
) -> None:
    """All members of a plain tar into the directory `dest`; BadArchiveError for a damaged one."""
    unpacking = _Unpacking(target, dest, owner)
    for member in read_members(plain):
        unpacking.add(member)


def _is_archive(file: int) -> bool:
    try:
        return is_archive(decompressed(_File(file)))
    except BadArchiveError:
        return False  # compressed, or only looking like it: a file like any other


class _File:
    """An open file as a Reader."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        return os.read(self._file, size if size >= 0 else 1 << 20)


class _Unpacking:
    """One archive on its way into one directory of the target."""

    def __init__(self, target: TargetTree, dest: str, owner: tuple[int, int] | None) -> None:
        self._target = target
        self._owner = owner
        self._root = target.resolve(dest)
        self._implied = replace(target.new_directory, mode=0o755, uid=0, gid=0)
        self._parents: dict[str, str] = {}  # below the root, as written → where it is
        target.make_directories(self._root, replace(target.new_directory, mode=0o755))

    def add(self, member: Member) -> None:
        """Put one member where it belongs."""
        name = _inside(member.name)
        if not name:
            return  # the root itself stays as it is
        parent, _, base = name.rpartition("/")
        if is_reserved(os.fsencode(base)):
            raise StepFailedError(
                f'"{name}" in the archive cannot be put into an image',
                hint='in a layer, a name that begins with ".wh." means a removed file: use COPY to'
                " take the archive as it is",
            )
        path = _join(self._parent(parent), base)
        if member.kind == "hardlink":
            self._hard_link(member, path)
            return
        is_directory = member.kind == "directory"
        if not (is_directory and self._target.is_directory(path)):
            self._replace(path)
        if is_directory:
            self._directory(member, path)
        elif member.kind == "file":
            self._file(member, path)
        elif member.kind == "symlink":
            os.symlink(member.link_name, self._target.above(path))
            self._finish_node(member, path)
        else:
            self._special(member, path)

    def _replace(self, path: str) -> None:
        status = self._target.status(path)
        if status is not None:
            self._target.replace(path)
            if not stat.S_ISREG(status.st_mode):
                self._parents.clear()  # a directory, or a link to one, that a name went through

    def _parent(self, parent: str) -> str:
        """Where the directory is that a member's name says, made where it is missing."""
        known = self._parents.get(parent)
        if known is None:
            known = _join(self._root, self._resolve(parent))
            self._target.make_directories(known, self._implied)
            self._parents[parent] = known
        return known

    def _resolve(self, path: str) -> str:
        """Links followed as if the destination were the root; relative to it."""
        target, root = self._target, self._root
        try:
            return resolve(
                path,
                lambda one: target.status(_join(root, one)),
                lambda one: target.link(_join(root, one)),
            )
        except OSError as error:
            raise failure_of(error, path) from error

    def _owner_of(self, member: Member) -> tuple[int, int]:
        return self._owner or (member.uid, member.gid)

    def _directory(self, member: Member, path: str) -> None:
        uid, gid = self._owner_of(member)
        there = self._target.status(path)
        if there is not None:
            self._target.copy_up(path, there)
        xattrs = tuple((k, v) for k, v in member.xattrs if is_kept(os.fsdecode(k)))
        mtime_ns = self._target.clamped(member.mtime_ns)
        self._target.make_directory(
            path, DirectoryAttributes(member.mode, uid, gid, mtime_ns, xattrs)
        )

    def _file(self, member: Member, path: str) -> None:
        out = os.open(self._target.above(path), CREATE, 0o600)
        try:
            member.data.copy_to(out)
            self._finish_file(member, path, out)
        finally:
            os.close(out)

    def _finish_file(self, member: Member, path: str, file: int) -> None:
        uid, gid = self._owner_of(member)
        give(file, path, uid, gid)
        os.fchmod(file, member.mode)
        for key, value in member.xattrs:
            if is_kept(os.fsdecode(key)):
                write_xattr(file, key, value)
        mtime_ns = self._target.clamped(member.mtime_ns)
        os.utime(file, ns=(mtime_ns, mtime_ns))

    def _hard_link(self, member: Member, path: str) -> None:
        """Another name of what an earlier member brought, or the image has below the root."""
        target = self._target
        parent, _, base = _inside(member.link_name).rpartition("/")
        first = _join(_join(self._root, self._resolve(parent)), base)
        status = target.status(first)
        if status is None or stat.S_ISDIR(status.st_mode) or not base:
            raise StepFailedError(
                f'"{member.name}" in the archive is a hard link to "{member.link_name}", which was'
                " not found below the destination"
            )
        if first == path:
            return
        self._bring_up(first, status)
        self._replace(path)
        os.link(target.above(first), target.above(path), follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            file = os.open(target.above(path), READ)
            try:
                self._finish_file(member, path, file)
            finally:
                os.close(file)

    def _bring_up(self, path: str, status: os.stat_result) -> None:
        """A file or link that only the image has becomes part of the layer, as it is there."""
        target = self._target
        above = target.above(path)
        if os.path.lexists(above):
            return
        below = target.below(path)
        assert below is not None, path
        target.make_directories(path.rpartition("/")[0])
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(below), above)
            os.lchown(above, status.st_uid, status.st_gid)
        elif stat.S_ISREG(status.st_mode):
            copy_file(below, above, status)
        else:
            raise StepFailedError(f'"/{path}" is a special file: the archive links to it')
        mtime_ns = target.clamped(status.st_mtime_ns)
        os.utime(above, ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    def _special(self, member: Member, path: str) -> None:
        kinds = {"character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}
        kind = kinds[member.kind]
        if kind == stat.S_IFCHR and member.device == (0, 0):
            raise StepFailedError(
                f'"{member.name}" in the archive is a character device 0:0, which is how overlayfs'
                " marks a removed file"
            )
        try:
            os.mknod(self._target.above(path), kind | 0o600, os.makedev(*member.device))
        except PermissionError as error:
            raise StepFailedError(
                f'"{member.name}" in the archive is a device node: {error.strerror}',
                hint="only root may make device nodes: build as root, or take it out of the"
                " archive",
            ) from error
        self._finish_node(member, path)
        os.chmod(self._target.above(path), member.mode)

    def _finish_node(self, member: Member, path: str) -> None:
        uid, gid = self._owner_of(member)
        above = self._target.above(path)
        if uid or gid:
            try:
                os.lchown(above, uid, gid)
            except OSError as error:
                raise owner_failure(error, path, uid, gid) from error
        mtime_ns = self._target.clamped(member.mtime_ns)
        os.utime(above, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def _inside(name: str) -> str:
    """A member's name below the root, whatever it says; "" for the root itself."""
    return posixpath.normpath("/" + name).lstrip("/")


def _join(parent: str, name: str) -> str:
    if not name:
        return parent
    return f"{parent}/{name}" if parent else name
