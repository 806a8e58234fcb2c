"""One walk over what a COPY takes of a directory, for its key and for the copy alike.

Depth first, a directory's names in byte order, as `layer.pack` has it. A directory that is left out
itself comes in all the same, with its metadata, as soon as something below it stays. Descriptors
are opened one from another without following links, so that a tree that changes meanwhile leads
nowhere else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from builder.errors import StepFailedError
from builder.frontend.ignorefile import IgnoreMatcher
from builder.layer.whiteout import is_reserved
from builder.worker.copy_select import Match
from builder.worker.source_tree import failure_of

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Entries = list[tuple[str, os.stat_result]]
"""Name and status of files, links and special files of one directory."""


class Visitor(Protocol):
    """What a walk tells, in order."""

    def enter(self, path: str, status: os.stat_result, directory: int) -> None:
        """A directory begins, `path` below the match's; `directory` is open until `leave`."""
        ...

    def others(self, path: str, entries: Entries, directory: int) -> None:
        """What else stands in the directory `path`, as far as the next directory in order."""
        ...

    def leave(self) -> None:
        """The directory entered last ends."""
        ...


def walk(match: Match, exclude: Sequence[str], visitor: Visitor) -> None:
    """Tell `visitor` what is below the directory of `match`, itself not included.

    StepFailedError for a name that no layer can hold.
    """
    root = match.tree.open(match.path, DIRECTORY)
    try:
        _Walk(match, exclude, visitor).directory("", root, inside=match.include is None)
    finally:
        os.close(root)


class _Pending:
    """A directory that is left out itself, and not yet entered for what is below it."""

    __slots__ = ("directory", "entered", "path", "status")

    def __init__(self, path: str, status: os.stat_result, directory: int) -> None:
        self.path = path
        self.status = status
        self.directory = directory
        self.entered = False


class _Walk:
    def __init__(self, match: Match, exclude: Sequence[str], visitor: Visitor) -> None:
        self._visitor = visitor
        self._include = match.include
        self._prefix = f"{match.path}/" if match.path else ""
        self._ignore = match.tree.ignore if match.source.honours_ignorefile else None
        self._exclude = IgnoreMatcher.of(exclude) if exclude else None
        self._keeps_all = self._ignore is None and self._exclude is None
        self._pending: list[_Pending] = []

    def directory(self, path: str, directory: int, *, inside: bool) -> None:
        """`inside`: a pattern of --parents matched it, so that all below belongs to it."""
        prefix = f"{path}/" if path else ""
        run: Entries = []
        simple = inside and self._keeps_all
        for name, status in _scan(directory):
            if name[0] == "." and is_reserved(os.fsencode(name)):
                self._refuse(prefix + name)
            if stat.S_ISDIR(status.st_mode):
                if run:
                    self._tell(path, run, directory)
                    run = []
                self._below(prefix + name, name, status, directory, inside=inside)
            elif simple or self._keeps(prefix + name, inside=inside):
                run.append((name, status))
        if run:
            self._tell(path, run, directory)

    def _below(
        self, path: str, name: str, status: os.stat_result, parent: int, *, inside: bool
    ) -> None:
        inside = inside or self._matches(path)
        keeps = self._keeps(path, inside=inside)
        if not keeps and self._may_skip(path, inside=inside):
            return
        try:
            directory = os.open(name, DIRECTORY, dir_fd=parent)
        except OSError as error:
            raise failure_of(error, self._prefix + path) from error
        try:
            here = _Pending(path, status, directory)
            self._pending.append(here)
            if keeps:
                self._enter_pending()
            self.directory(path, directory, inside=inside)
            self._pending.pop()
            if here.entered:
                self._visitor.leave()
        finally:
            os.close(directory)

    def _tell(self, path: str, run: Entries, directory: int) -> None:
        self._enter_pending()
        self._visitor.others(path, run, directory)

    def _enter_pending(self) -> None:
        first = len(self._pending)
        while first and not self._pending[first - 1].entered:
            first -= 1
        for one in self._pending[first:]:
            self._visitor.enter(one.path, one.status, one.directory)
            one.entered = True

    def _matches(self, path: str) -> bool:
        return self._include is not None and self._include.matches(path)

    def _keeps(self, path: str, *, inside: bool) -> bool:
        if not inside and not self._matches(path):
            return False
        if self._ignore is not None and self._ignore.excludes(self._prefix + path):
            return False
        return self._exclude is None or not self._exclude.excludes(path)

    def _may_skip(self, path: str, *, inside: bool) -> bool:
        if not inside and self._include is not None and not self._include.may_match_below(path):
            return True
        if self._ignore is not None and self._ignore.may_skip_directory(self._prefix + path):
            return True
        return self._exclude is not None and self._exclude.may_skip_directory(path)

    def _refuse(self, path: str) -> None:
        if not self._keeps(path, inside=self._include is None):
            return
        raise StepFailedError(
            f'"{path}" cannot be copied into an image',
            hint='in a layer, a name that begins with ".wh." means a removed file: leave it out'
            " with .dockerignore or --exclude",
        )


def fingerprint_of(before: int, entries: Entries) -> int:
    """A number that changes when one of these files is touched; of this process only."""
    seen = [(name, one.st_ino, one.st_ctime_ns, one.st_size) for name, one in entries]
    return hash((before, tuple(seen)))


def directory_fingerprint(before: int, path: str, status: os.stat_result) -> int:
    """The same for a directory, whose times change with files that may not matter."""
    return hash((before, path, status.st_mode))


def _scan(directory: int) -> Entries:
    """The entries in byte order; what is gone before it can be looked at was not there."""
    entries: Entries = []
    ascii_only = True
    with os.scandir(directory) as found:
        for entry in found:
            name = entry.name
            try:
                entries.append((name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
            ascii_only = ascii_only and name.isascii()
    if ascii_only:
        entries.sort(key=_name)
    else:
        entries.sort(key=_name_bytes)
    return entries


def _name(entry: tuple[str, os.stat_result]) -> str:
    return entry[0]


def _name_bytes(entry: tuple[str, os.stat_result]) -> bytes:
    return os.fsencode(entry[0])
