"""Write what one match of a COPY brings into a directory of the target, and into the layer's tar.

Directories take the source's mode and owner, whether they are there already or not. A file replaces
a file or a link, never a directory; a directory never replaces anything. Hard links within the
match stay hard links.
"""

from __future__ import annotations

import os
import stat
from typing import Self

from builder.errors import StepFailedError
from builder.layer.tarheader import Metadata
from builder.layer.tarstream import TarStream
from builder.layer.xattrs import read_xattrs, write_xattr
from builder.worker.chmod import ModeOf
from builder.worker.copy_file import (
    CREATE,
    READ,
    WHOLE_BYTES,
    CopyingReader,
    check_unchanged,
    read_whole,
    write_all,
)
from builder.worker.copy_reuse import Contents, outcome_of
from builder.worker.copy_select import Match
from builder.worker.copy_walk import Entries, directory_fingerprint, fingerprint_of
from builder.worker.source_tree import failure_of, xattr_names
from builder.worker.target_tree import (
    DirectoryAttributes,
    TargetTree,
    Xattrs,
    give,
    owner_failure,
)
from cache.record import record

_SECOND_NS = 1_000_000_000


@record
class Writing:
    """What holds for all that one COPY writes."""

    target: TargetTree
    owner: tuple[int, int] | None  # None: as the source has it, root for a context
    mode_of: ModeOf | None  # what --chmod makes of a mode
    stream: TarStream | None  # where one match is all there is: its members come in order

    def tell_directory(self, path: str) -> None:
        """The tar's member for a directory of the target."""
        if self.stream is not None:
            one = self.target.attributes(path)
            metadata = metadata_of(one.mode, one.uid, one.gid, one.mtime_ns, one.xattrs)
            self.stream.add_directory(os.fsencode(path), metadata)


def metadata_of(mode: int, uid: int, gid: int, mtime_ns: int, xattrs: Xattrs = ()) -> Metadata:
    """A tar member's, from what stands on disk."""
    return Metadata(mode, uid, gid, mtime_ns // _SECOND_NS, xattrs)


class _Frame:
    """A directory of the destination that the walk is in."""

    __slots__ = ("directory", "earlier", "occupied", "prefix")

    def __init__(
        self, path: str, directory: int, occupied: frozenset[str], earlier: int | None
    ) -> None:
        self.prefix = f"{path}/" if path else ""
        self.directory = directory  # open
        self.occupied = occupied  # names that were there before
        self.earlier = earlier  # the same directory of an earlier run, open


_NOTHING: frozenset[str] = frozenset()


class TreeWriter:
    """One match on its way into the directory `path` of the target: a `copy_walk.Visitor`."""

    def __init__(
        self, writing: Writing, match: Match, path: str, contents: Contents | None = None
    ) -> None:
        self._writing = writing
        self._contents = contents
        self._target = writing.target
        self._stream = writing.stream
        self._mode_of = writing.mode_of
        is_roots = writing.owner is None and match.tree.is_context
        self._owner = (0, 0) if is_roots else writing.owner
        self._may_change = match.tree.is_context
        self._first_names: dict[tuple[int, int], str] = {}
        self._frames: list[_Frame] = []
        self._top = path
        self.fingerprint = 0

    def __enter__(self) -> Self:
        self._push(self._top, self._target.occupied(self._top))
        return self

    def __exit__(self, *_: object) -> None:
        while self._frames:
            self.leave()

    def _push(self, path: str, occupied: frozenset[str]) -> None:
        earlier = None if self._contents is None else self._contents.reuse.directory(path)
        self._frames.append(_Frame(path, self._target.open_directory(path), occupied, earlier))

    def leave(self) -> None:
        """As `Visitor.leave`."""
        frame = self._frames.pop()
        os.close(frame.directory)
        if frame.earlier is not None:
            os.close(frame.earlier)

    def enter(self, path: str, status: os.stat_result, directory: int) -> None:
        """As `Visitor.enter`."""
        self.fingerprint = directory_fingerprint(self.fingerprint, path, status)
        target = self._target
        frame = self._frames[-1]
        name = path.rpartition("/")[2]
        to = frame.prefix + name
        attributes = self._attributes(status, directory)
        occupied = _NOTHING
        if name in frame.occupied:
            there = target.status(to)
            if there is not None and not stat.S_ISDIR(there.st_mode):
                raise no_directory(to)
            if there is not None:
                target.copy_up(to, there)
                attributes = _merged(target.attributes(to), attributes)
                occupied = target.occupied(to)
        target.make_directory(to, attributes)
        self._writing.tell_directory(to)
        self._push(to, occupied)

    def _attributes(self, status: os.stat_result, directory: int) -> DirectoryAttributes:
        uid, gid = self._owner or (status.st_uid, status.st_gid)
        names = xattr_names(directory)
        return DirectoryAttributes(
            self._mode(status),
            uid,
            gid,
            self._target.clamped(status.st_mtime_ns),
            read_xattrs(directory, names) if names else (),
        )

    def _mode(self, status: os.stat_result) -> int:
        mode_of = self._mode_of
        return status.st_mode & 0o7777 if mode_of is None else mode_of(status.st_mode)

    def others(self, path: str, entries: Entries, directory: int) -> None:
        """As `Visitor.others`."""
        frame = self._frames[-1]
        occupied = frame.occupied
        name = ""
        try:
            for name, status in entries:
                if name in occupied:
                    self._target.make_room(frame.prefix + name)
                if not stat.S_ISSOCK(status.st_mode):
                    self.other(directory, name, name, status)
        except OSError as error:
            raise failure_of(error, f"{path}/{name}" if path else name) from error
        if self._may_change:
            self.fingerprint = fingerprint_of(self.fingerprint, entries)

    def other(self, source: int, source_name: str, name: str, status: os.stat_result) -> None:
        """Copy what is no directory from the open directory `source` into the current one."""
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            if status.st_nlink == 1 or not self._link(name, status):
                self._file(source, source_name, name, status)
        elif kind == stat.S_IFLNK:
            self._symlink(source, source_name, name, status)
        else:
            self._special(name, status)

    def _link(self, name: str, status: os.stat_result) -> bool:
        """Whether `name` is another name of a file that this match has brought already."""
        inode = (status.st_dev, status.st_ino)
        frame = self._frames[-1]
        first = self._first_names.setdefault(inode, frame.prefix + name)
        if first == frame.prefix + name:
            return False
        os.link(self._target.above(first), name, dst_dir_fd=frame.directory, follow_symlinks=False)
        if self._stream is not None:
            to = os.fsencode(frame.prefix + name)
            self._stream.add_hardlink(to, self._metadata(status), os.fsencode(first))
        return True

    def _metadata(self, status: os.stat_result, xattrs: Xattrs = ()) -> Metadata:
        uid, gid = self._owner or (status.st_uid, status.st_gid)
        mtime_ns = self._target.clamped(status.st_mtime_ns)
        return Metadata(self._mode(status), uid, gid, mtime_ns // _SECOND_NS, xattrs)

    def _file(self, source: int, source_name: str, name: str, status: os.stat_result) -> None:
        frame = self._frames[-1]
        to = frame.prefix + name
        data_in = os.open(source_name, READ, dir_fd=source)
        try:
            names = xattr_names(data_in)
            xattrs = read_xattrs(data_in, names) if names else ()
            metadata = self._metadata(status, xattrs)
            taken_over = self._take_over(name, status, metadata)
            if status.st_size > WHOLE_BYTES:
                self._large_file(data_in, name, status, metadata, taken_over=taken_over)
            elif not taken_over or self._stream is not None:
                data = read_whole(data_in, status.st_size, to)
                if not taken_over:
                    self._new_file(name, data, status, metadata)
                if self._stream is not None:
                    self._stream.add_file(os.fsencode(to), metadata, len(data), data)
            if self._may_change:
                check_unchanged(data_in, status, to)
        finally:
            os.close(data_in)

    def _take_over(self, name: str, status: os.stat_result, metadata: Metadata) -> bool:
        """Whether an earlier run has brought the very file, and it has been linked."""
        contents = self._contents
        if contents is None:
            return False
        content = contents.next()
        if not content or metadata.xattrs:
            return False
        frame = self._frames[-1]
        mtime_ns = self._target.clamped(status.st_mtime_ns)
        outcome = outcome_of(content, metadata.mode, metadata.uid, metadata.gid, mtime_ns)
        same = contents.reuse.note(frame.prefix + name, status.st_size, outcome)
        if not same or frame.earlier is None:
            return False
        try:
            os.link(name, name, src_dir_fd=frame.earlier, dst_dir_fd=frame.directory)
        except OSError:
            return False  # removed meanwhile, or with as many links as it can have
        return True

    def _new_file(self, name: str, data: bytes, status: os.stat_result, metadata: Metadata) -> None:
        out = os.open(name, CREATE, 0o600, dir_fd=self._frames[-1].directory)
        try:
            if data:
                write_all(out, data)
            self._finish(out, name, status, metadata)
        finally:
            os.close(out)

    def _large_file(
        self,
        source: int,
        name: str,
        status: os.stat_result,
        metadata: Metadata,
        *,
        taken_over: bool,
    ) -> None:
        frame = self._frames[-1]
        to = frame.prefix + name
        out = None if taken_over else os.open(name, CREATE, 0o600, dir_fd=frame.directory)
        try:
            reader = CopyingReader(source, out, status, to)
            if self._stream is not None:
                self._stream.add_file(os.fsencode(to), metadata, status.st_size, reader)
            if out is not None:
                reader.drain()
                self._finish(out, name, status, metadata)
        finally:
            if out is not None:
                os.close(out)

    def _finish(self, out: int, name: str, status: os.stat_result, metadata: Metadata) -> None:
        if metadata.uid or metadata.gid:
            give(out, self._frames[-1].prefix + name, metadata.uid, metadata.gid)
        os.fchmod(out, metadata.mode)
        for key, value in metadata.xattrs:
            write_xattr(out, key, value)
        mtime_ns = self._target.clamped(status.st_mtime_ns)
        os.utime(out, ns=(mtime_ns, mtime_ns))

    def _symlink(self, source: int, source_name: str, name: str, status: os.stat_result) -> None:
        frame = self._frames[-1]
        directory = frame.directory
        link_target = os.readlink(source_name, dir_fd=source)
        os.symlink(link_target, name, dir_fd=directory)
        uid, gid = self._owner or (status.st_uid, status.st_gid)
        self._give_by_name(name, uid, gid)
        self._set_times(name, status)
        if self._stream is not None:
            mtime = self._target.clamped(status.st_mtime_ns) // _SECOND_NS
            self._stream.add_symlink(
                os.fsencode(frame.prefix + name),
                Metadata(0o777, uid, gid, mtime),
                os.fsencode(link_target),
            )

    def _special(self, name: str, status: os.stat_result) -> None:
        frame = self._frames[-1]
        metadata = self._metadata(status)
        if stat.S_ISCHR(status.st_mode) and not status.st_rdev:
            raise StepFailedError(
                f'"/{frame.prefix}{name}": a character device 0:0 is how overlayfs marks a removed'
                " file: it cannot be copied"
            )
        try:
            mode = stat.S_IFMT(status.st_mode) | 0o600
            os.mknod(name, mode, status.st_rdev, dir_fd=frame.directory)
        except PermissionError as error:
            raise StepFailedError(
                f'"/{frame.prefix}{name}": a device node cannot be made: {error.strerror}',
                hint="only root may make device nodes: build as root, or leave it out",
            ) from error
        self._give_by_name(name, metadata.uid, metadata.gid)
        os.chmod(name, metadata.mode, dir_fd=frame.directory)
        self._set_times(name, status)
        if self._stream is not None:
            to = os.fsencode(frame.prefix + name)
            if stat.S_ISFIFO(status.st_mode):
                self._stream.add_fifo(to, metadata)
            else:
                device = (os.major(status.st_rdev), os.minor(status.st_rdev))
                is_block = stat.S_ISBLK(status.st_mode)
                self._stream.add_device(to, metadata, is_block=is_block, device=device)

    def _give_by_name(self, name: str, uid: int, gid: int) -> None:
        if not uid and not gid:
            return
        frame = self._frames[-1]
        try:
            os.chown(name, uid, gid, dir_fd=frame.directory, follow_symlinks=False)
        except OSError as error:
            raise owner_failure(error, frame.prefix + name, uid, gid) from error

    def _set_times(self, name: str, status: os.stat_result) -> None:
        mtime_ns = self._target.clamped(status.st_mtime_ns)
        directory = self._frames[-1].directory
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=directory, follow_symlinks=False)


def _merged(there: DirectoryAttributes, new: DirectoryAttributes) -> DirectoryAttributes:
    xattrs = dict(there.xattrs) | dict(new.xattrs)
    return DirectoryAttributes(
        new.mode, new.uid, new.gid, new.mtime_ns, tuple(sorted(xattrs.items()))
    )


def no_directory(path: str) -> StepFailedError:
    """Something that is no directory is where a directory is to be."""
    return StepFailedError(
        f"cannot copy to non-directory: /{path}",
        hint="a directory's contents go into a directory: something else is there",
    )
