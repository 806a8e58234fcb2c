"""Several layers' trees as one, by hard links: what overlayfs would show of them, as a layer.

A merged tree stands for consecutive layers of a stack that is too deep for overlayfs. Since its
files are the layers' own inodes, it costs directories only. It is itself an upperdir: what the
layers hide of those below them, it hides.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from cache.snapshot import marks


def merge_layers(layers: Sequence[str], target: str, *, userxattr: bool, hides_lower: bool) -> None:
    """Make the new directory `target` show what `layers` (uppermost first) make together.

    Without `hides_lower` there is nothing below them, and whiteouts are left out.
    """
    merge = _Merge(userxattr=userxattr, hides_lower=hides_lower)
    merge.add(layers, target)
    merge.run()


def copy_directory_metadata(source: str, target: str) -> None:
    """Give a directory the owner, mode, times and xattrs of another, other than overlayfs's own."""
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        if not marks.is_overlay_xattr(name):
            _copy_xattr(source, target, name)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


class _Merge:
    def __init__(self, *, userxattr: bool, hides_lower: bool) -> None:
        self._userxattr = userxattr
        self._hides_lower = hides_lower
        self._waiting: list[tuple[Sequence[str], str]] = []
        self._made: list[tuple[str, str]] = []  # each directory and what it takes metadata from

    def add(self, sources: Sequence[str], target: str, *, opaque: bool = False) -> None:
        os.mkdir(target, 0o700)
        if opaque and self._hides_lower:
            marks.make_opaque(target, userxattr=self._userxattr)
        self._waiting.append((sources, target))
        self._made.append((sources[0], target))

    def run(self) -> None:
        while self._waiting:
            sources, target = self._waiting.pop()
            self._merge_directory(sources, target)
        for source, target in reversed(self._made):
            copy_directory_metadata(source, target)

    def _merge_directory(self, sources: Sequence[str], target: str) -> None:
        """Fill `target` with what `sources`, uppermost first, show."""
        closed: set[str] = set()  # names below which nothing shows
        directories: dict[str, list[str]] = {}
        for source in sources:
            is_marked = marks.opacity(source, userxattr=self._userxattr) == "marked"
            with os.scandir(source) as scan:
                for entry in scan:
                    if entry.name in closed:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        directories.setdefault(entry.name, []).append(entry.path)
                        if marks.opacity(entry.path, userxattr=self._userxattr) == "opaque":
                            closed.add(entry.name)
                        continue
                    closed.add(entry.name)
                    if entry.name not in directories:
                        self._place(entry, target, is_marked=is_marked)
        for name, parts in directories.items():
            self.add(parts, os.path.join(target, name), opaque=name in closed)

    def _place(self, entry: os.DirEntry[str], target: str, *, is_marked: bool) -> None:
        if self._hides_lower or not self._is_whiteout(entry, is_marked=is_marked):
            _link(entry.path, os.path.join(target, entry.name))
            if is_marked:
                self._unmark(entry, target)

    def _is_whiteout(self, entry: os.DirEntry[str], *, is_marked: bool) -> bool:
        if entry.is_symlink():
            return False
        if entry.is_file(follow_symlinks=False):
            return is_marked and marks.is_marked_whiteout(entry.path, userxattr=self._userxattr)
        return marks.is_whiteout(entry.stat(follow_symlinks=False))

    def _unmark(self, entry: os.DirEntry[str], target: str) -> None:
        """A whiteout by xattr needs a mark on its directory: make it one that doesn't."""
        if self._is_whiteout(entry, is_marked=True):
            path = os.path.join(target, entry.name)
            os.unlink(path)
            os.mknod(path, stat.S_IFCHR, 0)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    """Another file of the same content: no more links may be made to the first."""
    from shutil import copy2  # noqa: PLC0415 hardly ever needed

    copy2(source, target, follow_symlinks=False)
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # chown takes setuid away


def _copy_xattr(source: str, target: str, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENODATA}:
            raise
