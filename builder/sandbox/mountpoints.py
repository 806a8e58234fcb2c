"""Mount points that the image may lack, without a trace of them in the layer.

A directory or file to mount on must exist, but what pybuild makes for itself is no part of what a
RUN did. So the missing ones stand in a *stub tree* that is the lowest layer of the overlay: seen
in the merged tree, absent from the upperdir. Where a layer hides the stub tree (a whiteout, an
opaque directory) or there is no overlay, they are made in the tree and taken out after the run.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Self

from builder.errors import IsolationError
from builder.image.jsonobject import JsonObject
from builder.kernel.paths import open_beneath, open_in_root
from builder.kernel.xattrs import read_all
from builder.sandbox.hostfiles import HOSTNAME, HOSTS, RESOLV_CONF
from builder.sandbox.rootfs import mounted
from builder.sandbox.userns import Shift, writing_as_root_of
from cache.record import record, replace
from cache.snapshot.api import Mount

_PLAIN_MODE = 0o755
_MAX_LINKS = 40  # the kernel's own limit
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")


@record
class MountPoint:
    """What a mount of the sandbox needs to be there."""

    path: str  # absolute, inside the root filesystem; links in it stay inside
    is_directory: bool
    mode: int = 0o755  # of a directory that is made, its parents' being 0755


BASE_POINTS = (
    MountPoint("/proc", is_directory=True),
    MountPoint("/sys", is_directory=True),
    MountPoint("/dev", is_directory=True),
    MountPoint(HOSTS, is_directory=False),
    MountPoint(HOSTNAME, is_directory=False),
    MountPoint(RESOLV_CONF, is_directory=False),
)
"""Of every process: /proc, /sys, /dev and the files of `hostfiles`."""


@contextmanager
def mounted_with_points(
    mount: Mount,
    at: str,
    points: Sequence[MountPoint],
    *,
    stub_dir: str,
    volatile: bool,
    shift: Shift | None = None,
) -> Generator[str]:
    """As `rootfs.mounted`, with every one of `points` present inside.

    `stub_dir` is a directory on any file system, empty or used before with the same points; the
    caller removes it. When the block ends, nothing that was made here is left in the upperdir.
    """
    stubs = make_stubs(stub_dir, points)
    traces = Traces(mount, stubs)
    try:
        with mounted(over_stubs(mount, stub_dir), at, volatile=volatile, shift=shift):
            with writing_as_root_of(shift):
                traces.make_missing(at, points)
            yield at
    finally:
        traces.remove(at)


def make_stubs(stub_dir: str, points: Sequence[MountPoint]) -> tuple[str, ...]:
    """Make the points below `stub_dir`; their paths and those of all parents, parents first."""
    paths: dict[str, None] = {}
    for point in points:
        parts = [part for part in point.path.split("/") if part not in {"", "."}]
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in paths:
                is_directory = point.is_directory or depth < len(parts)
                _make(os.path.join(stub_dir, path), is_directory=is_directory)
                paths[path] = None
        if point.mode != _PLAIN_MODE:
            os.chmod(os.path.join(stub_dir, *parts), point.mode)
    return tuple(paths)


def _make(path: str, *, is_directory: bool, dir_fd: int | None = None) -> None:
    try:
        if is_directory:
            os.mkdir(path, 0o755, dir_fd=dir_fd)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o644, dir_fd=dir_fd))
    except FileExistsError:
        return


def over_stubs(mount: Mount, stub_dir: str) -> Mount:
    """`mount` with the stub tree as its lowest layer."""
    if not mount.lowerdirs and mount.workdir is None:  # a tree of its own: nothing to lay it over
        return mount
    lowerdirs = (*mount.lowerdirs, stub_dir)
    return replace(mount, lowerdirs=lowerdirs)


class Traces:
    """What one run's mount points did to the upperdir, and how to undo it. Used once."""

    def __init__(self, mount: Mount, stubs: tuple[str, ...]) -> None:
        self._mount = mount
        self._stubs = stubs
        self._made: list[str] = []  # in the merged tree, parents first
        self._parents: set[str] = set()  # that something was made in, themselves not made
        self._kept = self._in_upperdir(stubs)  # there before us

    @classmethod
    def remembered(cls, mount: Mount, fields: JsonObject) -> Self:
        """Those of an earlier process, by their `fields`."""
        traces = cls(mount, ())
        traces._stubs = fields.texts("stubs") or ()
        traces._made += fields.texts("made") or ()
        traces._parents.update(fields.texts("parents") or ())
        traces._kept = set(fields.texts("kept") or ())
        return traces

    def fields(self) -> dict[str, list[str]]:
        """As JSON takes it."""
        return {
            "stubs": list(self._stubs),
            "made": self._made,
            "parents": sorted(self._parents),
            "kept": sorted(self._kept),
        }

    @property
    def candidates(self) -> tuple[str, ...]:
        """Paths in the upperdir: unless one of them is there, nothing is to be undone."""
        made = {*self._made, *self._stubs, *_with_ancestors(self._parents)}
        return tuple(sorted(made - self._kept - {""}))

    def make_missing(self, at: str, points: Sequence[MountPoint]) -> None:
        """Make in the merged tree what neither the image nor the stub tree shows."""
        root_fd = os.open(at, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for point in points:
                if not _exists(root_fd, point.path):
                    self._make_point(root_fd, point)
        finally:
            os.close(root_fd)

    def _make_point(self, root_fd: int, point: MountPoint) -> None:
        try:
            path = resolved(root_fd, point.path)
            parts = path.split("/")
            for depth in range(1, len(parts) + 1):
                is_directory = point.is_directory or depth < len(parts)
                self._make_one(root_fd, "/".join(parts[:depth]), is_directory=is_directory)
        except OSError as error:
            raise IsolationError(
                f"the mount point {point.path} cannot be made in the image: {error.strerror}",
                hint="make it in an earlier step",
            ) from error

    def _make_one(self, root_fd: int, path: str, *, is_directory: bool) -> None:
        if _exists(root_fd, path):
            return
        parent, _, name = path.rpartition("/")
        parent_fd = open_beneath(root_fd, parent or ".", os.O_RDONLY | os.O_DIRECTORY, links=False)
        try:
            before = os.fstat(parent_fd)
            if parent not in self._made and parent not in self._parents:
                self._parents.add(parent)
                self._kept |= self._in_upperdir((parent,))
            _make(name, is_directory=is_directory, dir_fd=parent_fd)
            self._made.append(path)
            # so that a parent which the run leaves alone can be told by its times afterwards
            os.utime(parent_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(parent_fd)

    def _in_upperdir(self, paths: Sequence[str]) -> set[str]:
        upperdir = self._mount.upperdir
        if upperdir is None or not os.listdir(upperdir):
            return set()
        with _opened(upperdir) as upper_fd:
            return {path for path in paths if _status(upper_fd, path) is not None}

    def remove(self, at: str) -> None:
        """Undo it; the overlay is not mounted any more. `at` is free to look at the image from."""
        upperdir = self._mount.upperdir
        if upperdir is None:
            return
        with _opened(upperdir) as upper_fd:
            for path in reversed(self._made):
                _remove_empty(upper_fd, path)
            candidates = {*self._stubs, *_with_ancestors(self._parents)} - self._kept - {""}
            found = [path for path in candidates if _is_empty(upper_fd, path)]
            if found:
                self._prune(upper_fd, sorted(found, reverse=True), at)

    def _prune(self, upper_fd: int, paths: Sequence[str], at: str) -> None:
        """Remove the empty `paths`, and what becomes empty, that say nothing the image doesn't."""
        if not self._mount.lowerdirs:
            for path in paths:
                if path in self._stubs:
                    _remove_empty(upper_fd, path)
            return
        view = replace(self._mount, upperdir=None, workdir=None)
        with mounted(view, at, volatile=False), _opened(at) as image_fd:
            for start in paths:
                path = start
                while path and path not in self._kept and self._is_trace(upper_fd, image_fd, path):
                    _remove_empty(upper_fd, path)
                    path = path.rpartition("/")[0]

    def _is_trace(self, upper_fd: int, image_fd: int, path: str) -> bool:
        if not _is_empty(upper_fd, path):
            return False
        below = _facts(image_fd, path)
        if below is None:
            return path in self._stubs
        return below == _facts(upper_fd, path)


def resolved(root_fd: int, path: str) -> str:
    """Where `path` leads inside the root, without a link in it; it may be missing from there on.

    Relative, "" for the root. OSError with ELOOP for a circle of links.
    """
    done: list[str] = []
    rest = [part for part in path.split("/") if part]
    links = 0
    while rest:
        name = rest.pop(0)
        if name == ".":
            continue
        if name == "..":
            done = done[:-1]
            continue
        target = _link_target(root_fd, "/".join([*done, name]))
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        done = [] if target.startswith("/") else done
        rest = [part for part in target.split("/") if part] + rest
    return "/".join(done)


def _link_target(root_fd: int, path: str) -> str | None:
    try:
        fd = open_beneath(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        is_link = stat.S_ISLNK(os.fstat(fd).st_mode)
        return os.readlink("", dir_fd=fd) if is_link else None
    finally:
        os.close(fd)


@contextmanager
def _opened(directory: str) -> Generator[int]:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _exists(root_fd: int, path: str) -> bool:
    try:
        os.close(open_in_root(root_fd, path, os.O_PATH))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return False
        raise
    return True


def _with_ancestors(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")
        found.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return found


def _status(root_fd: int, path: str) -> os.stat_result | None:
    """Of `path` without a link in it; None where it is missing."""
    try:
        fd = open_beneath(root_fd, path or ".", os.O_PATH | os.O_NOFOLLOW, links=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link stands in for one of its directories
            return None
        raise
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _facts(root_fd: int, path: str) -> tuple[object, ...] | None:
    """All that a layer would say of the directory `path`; None where it is missing or none."""
    try:
        fd = open_beneath(root_fd, path, os.O_RDONLY | os.O_DIRECTORY, links=False)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        attributes = {
            name: value
            for name, value in read_all(fd).items()
            if not name.startswith(_OVERLAY_XATTRS) or name.endswith(".opaque")
        }
        return info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, attributes
    finally:
        os.close(fd)


def _is_empty(root_fd: int, path: str) -> bool:
    """Whether `path` is a directory with nothing in it, or a file of no bytes."""
    status = _status(root_fd, path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == 0
    fd = open_beneath(root_fd, path, os.O_RDONLY | os.O_DIRECTORY, links=False)
    try:
        return not os.listdir(fd)
    finally:
        os.close(fd)


def _remove_empty(root_fd: int, path: str) -> None:
    """Remove `path` if it is empty; its parent keeps its times."""
    if not _is_empty(root_fd, path):
        return
    parent, _, name = path.rpartition("/")
    parent_fd = open_beneath(root_fd, parent or ".", os.O_RDONLY | os.O_DIRECTORY, links=False)
    try:
        before = os.fstat(parent_fd)
        try:
            os.rmdir(name, dir_fd=parent_fd)
        except NotADirectoryError:
            os.unlink(name, dir_fd=parent_fd)
        os.utime(parent_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent_fd)
