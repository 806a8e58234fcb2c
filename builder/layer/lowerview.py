"""What the layers below show at a path, looked up in their own trees as overlayfs would.

No mount is needed, and no link of a layer is ever followed: a directory counts where it is a real
one in every layer that it is taken from.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from cache.record import record
from cache.snapshot import marks

Parts = tuple[str, ...]
"""A path below the root, by components: no "", "." or ".."."""

Lowerdirs = Sequence[str] | Callable[[], Sequence[str]]
"""Overlay upperdirs, uppermost first; or how to get them, which may mean to wait for them."""

_REMEMBERED = 4096  # directories; they come in tree order, so old ones are rarely asked for again


@record
class Shown:
    """The inode that shows at a path."""

    path: str  # of the inode in its layer, for lstat and O_NOFOLLOW
    status: os.stat_result


class LowerView:
    """A stack of overlay upperdirs, uppermost first, that nobody writes to any more.

    Where they have yet to be got, that is done when something is first looked up.
    """

    def __init__(self, lowerdirs: Lowerdirs, *, userxattr: bool) -> None:
        self._userxattr = userxattr
        self._lowerdirs = lowerdirs
        self._root: tuple[str, ...] | None = None
        self._known: dict[Parts, tuple[str, ...]] = {}

    def shown(self, parts: Parts) -> Shown | None:
        """What shows at `parts`, which is not the root; None where nothing does."""
        name = parts[-1]
        for directory in self._directories(parts[:-1]):
            path = f"{directory}/{name}"
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            return None if self._is_whiteout(directory, path, status) else Shown(path, status)
        return None

    def shown_directory(self, parts: Parts) -> Shown | None:
        """The uppermost inode of the directory that shows at `parts`; None for anything else."""
        directories = self._directories(parts)
        return Shown(directories[0], os.lstat(directories[0])) if directories else None

    def names(self, parts: Parts) -> frozenset[str]:
        """What shows in the directory at `parts`; nothing where there is none."""
        seen: set[str] = set()
        hidden: set[str] = set()
        for directory in self._directories(parts):
            with os.scandir(directory) as scan:
                for entry in scan:
                    if entry.name in seen:
                        continue
                    seen.add(entry.name)
                    status = entry.stat(follow_symlinks=False)
                    if self._is_whiteout(directory, entry.path, status):
                        hidden.add(entry.name)
        return frozenset(seen - hidden)

    def _directories(self, parts: Parts) -> tuple[str, ...]:
        """The layers' directories that make up the one at `parts`, uppermost first."""
        depth = len(parts)
        while depth and parts[:depth] not in self._known:
            depth -= 1
        directories = self._known[parts[:depth]] if depth else self._roots()
        for end in range(depth + 1, len(parts) + 1):
            directories = self._below(directories, parts[end - 1])
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[parts[:end]] = directories
        return directories

    def _roots(self) -> tuple[str, ...]:
        """The layers' root directories: overlayfs joins them all, opaque or not."""
        if self._root is None:
            found = self._lowerdirs() if callable(self._lowerdirs) else self._lowerdirs
            self._root = tuple(found)
        return self._root

    def _below(self, directories: tuple[str, ...], name: str) -> tuple[str, ...]:
        found: list[str] = []
        for directory in directories:
            path = f"{directory}/{name}"
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break  # a whiteout, or something that hides what is below it
            found.append(path)
        return self._down_to_opaque(found)

    def _down_to_opaque(self, directories: Sequence[str]) -> tuple[str, ...]:
        for index, directory in enumerate(directories):
            if marks.opacity(directory, userxattr=self._userxattr) == "opaque":
                return tuple(directories[: index + 1])
        return tuple(directories)

    def _is_whiteout(self, directory: str, path: str, status: os.stat_result) -> bool:
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            return marks.opacity(
                directory, userxattr=self._userxattr
            ) == "marked" and marks.is_marked_whiteout(path, userxattr=self._userxattr)
        return marks.is_whiteout(status)
