"""A root filesystem without mount(2): a copy that may be changed, and what was changed in it.

Where a container around us forbids mounts there is no overlay. Then the layers are joined by hard
links and, for a process that may write, every file is made the copy's own, since those of the
layers never change. Afterwards whatever is not as it was goes to the upperdir, which then holds
what overlayfs would have put there: the rest of the store does not know the difference.

What was left alone is told by its inode and times: a process cannot set back a change time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from cache.snapshot import marks
from cache.snapshot.api import Mount
from cache.snapshot.filecopy import copy_node, same_content
from cache.snapshot.merge import copy_directory_metadata, merge_layers
from cache.statedir import remove_tree

_Inode = tuple[int, int]
"""Number and change time: a process can set back neither."""


class CopiedRootfs:
    """Shows `mount` in the directory `at`, which must be empty and on the store's file system.

    `show` before use, `harvest` after what wrote into it has ended well, `remove` in any case.
    """

    def __init__(self, mount: Mount, at: str) -> None:
        self._mount = mount
        self._at = at
        self._before: dict[str, _Inode] = {}  # by path below the root, "" for itself

    def show(self) -> None:
        """Make the tree."""
        os.rmdir(self._at)
        upperdir = self._mount.upperdir
        if not self._mount.lowerdirs:
            assert upperdir is not None, "a mount of nothing"
            os.rename(upperdir, self._at)  # the tree itself is written to
            return
        layers = (upperdir, *self._mount.lowerdirs) if upperdir else self._mount.lowerdirs
        join_by_links(layers, self._at, userxattr=self._mount.userxattr)
        if upperdir is not None:
            own_files(self._at)
            self._before = {path: _inode(status) for path, status in _entries(self._at)}

    def harvest(self) -> None:
        """Move what has changed into the upperdir. Only for a mount that has one."""
        upperdir = self._mount.upperdir
        if upperdir is None or not self._mount.lowerdirs:
            return
        found = _Changes(self._at, self._mount.lowerdirs)
        found.look(self._before)
        upper = _Upper(self._at, upperdir, found.directories)
        for path, status in found.changed:
            upper.take(path, status)
        for path in found.gone:
            upper.hide(path)
        upper.finish()

    def remove(self) -> None:
        """Leave `at` empty, as it was. Idempotent."""
        upperdir = self._mount.upperdir
        if upperdir is not None and not self._mount.lowerdirs and not os.path.lexists(upperdir):
            os.rename(self._at, upperdir)
        remove_tree(self._at)
        os.mkdir(self._at, 0o700)


def join_by_links(layers: Sequence[str], target: str, *, userxattr: bool) -> None:
    """Make the new directory `target` show what `layers`, uppermost first, make together."""
    merge_layers(layers, target, userxattr=userxattr, hides_lower=False)


def own_files(tree: str) -> None:
    """Make every file below `tree` its own, no longer another name of one elsewhere.

    Files that are one inode stay one. Directories keep their times.
    """
    copies: dict[tuple[int, int], str] = {}
    for directory, status, others in _directories(tree):
        for path, other in others:
            aside = f"{directory}/.{os.urandom(8).hex()}"
            first = copies.setdefault((other.st_dev, other.st_ino), path)
            if first is path:
                copy_node(path, aside, other)
            else:
                os.link(first, aside, follow_symlinks=False)
            os.rename(aside, path)
        os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))


def _directories(
    tree: str,
) -> Iterator[tuple[str, os.stat_result, list[tuple[str, os.stat_result]]]]:
    """Each directory with its status, and path and status of what in it is none."""
    waiting = [tree]
    while waiting:
        directory = waiting.pop()
        others: list[tuple[str, os.stat_result]] = []
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    others.append((entry.path, entry.stat(follow_symlinks=False)))
        yield directory, os.lstat(directory), others


def _entries(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    """All that is in a tree, itself included, by path below it."""
    for directory, status, others in _directories(tree):
        yield directory[len(tree) + 1 :], status
        for path, other in others:
            yield path[len(tree) + 1 :], other


def _inode(status: os.stat_result) -> _Inode:
    return status.st_ino, status.st_ctime_ns


class _Changes:
    """What is not as it was. `look` fills it."""

    def __init__(self, at: str, lowerdirs: Sequence[str]) -> None:
        self._at = at
        self._lowerdirs = lowerdirs
        self.directories: dict[str, os.stat_result] = {}
        self.changed: list[tuple[str, os.stat_result]] = []  # directories for themselves
        self.gone: list[str] = []  # the topmost of each tree, in directories that are still there

    def look(self, before: dict[str, _Inode]) -> None:
        """Compare; empties `before`."""
        for path, status in _entries(self._at):
            was = before.pop(path, None)
            if stat.S_ISDIR(status.st_mode):
                self.directories[path] = status
            if was is None or (was != _inode(status) and self._differs(path, status)):
                self.changed.append((path, status))
        self.gone = [path for path in before if os.path.dirname(path) in self.directories]

    def _differs(self, path: str, status: os.stat_result) -> bool:
        """Whether what was touched is not what the layers have: a change may be undone."""
        original = self._original(path)
        if original is None or _facts(os.lstat(original)) != _facts(status):
            return True
        return not same_content(original, os.path.join(self._at, path), status)

    def _original(self, path: str) -> str | None:
        """The file that shows at `path`: that of the uppermost layer which has one there."""
        for layer in self._lowerdirs:
            original = os.path.join(layer, path) if path else layer
            if os.path.lexists(original) and _is_within(layer, path):
                return original
        return None


def _is_within(layer: str, path: str) -> bool:
    """Whether no link of the layer leads `path` elsewhere."""
    parent = os.path.dirname(path)
    while parent:
        if os.path.islink(os.path.join(layer, parent)):
            return False
        parent = os.path.dirname(parent)
    return True


def _facts(status: os.stat_result) -> tuple[int, ...]:
    """What a layer says of an inode, but for its content and xattrs."""
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return (
        *(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns),
        *(size, status.st_rdev),
    )


class _Upper:
    """The upperdir that the changes go to."""

    def __init__(self, at: str, upperdir: str, directories: dict[str, os.stat_result]) -> None:
        self._at = at
        self._upperdir = upperdir
        self._directories = directories  # of the copy, as they were when it was looked at
        self._made: dict[str, None] = {"": None}  # directories that are there, parents first

    def take(self, path: str, status: os.stat_result) -> None:
        """Move a file here; a directory is made anew, and gets the metadata at the end."""
        if stat.S_ISDIR(status.st_mode):
            self._directory(path)
        elif not stat.S_ISSOCK(status.st_mode):
            self._directory(os.path.dirname(path))
            os.rename(os.path.join(self._at, path), os.path.join(self._upperdir, path))

    def hide(self, path: str) -> None:
        """Put a whiteout where something was."""
        self._directory(os.path.dirname(path))
        marks.make_whiteout(os.path.join(self._upperdir, path))

    def finish(self) -> None:
        """Give the directories what they have in the copy, those within others first."""
        for path in reversed(self._made):
            status = self._directories[path]
            target = os.path.join(self._upperdir, path) if path else self._upperdir
            copy_directory_metadata(os.path.join(self._at, path) if path else self._at, target)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _directory(self, path: str) -> None:
        missing: list[str] = []
        while path not in self._made:
            missing.append(path)
            path = os.path.dirname(path)
        for each in reversed(missing):
            os.mkdir(os.path.join(self._upperdir, each), 0o700)
            self._made[each] = None
