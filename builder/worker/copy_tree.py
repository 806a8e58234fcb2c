"""COPY's rules for where things land, over one target. They are BuildKit's.

A directory's contents are copied, not itself: a destination that is missing is made, one that is
there keeps its mode and owner. A destination that is a link is followed, also one that leads to
nothing yet. What happens below is `tree_writer`'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from builder.errors import StepFailedError
from builder.graph.model import InlineFile
from builder.worker.copy_file import CREATE, write_all
from builder.worker.copy_reuse import Contents
from builder.worker.copy_select import Match
from builder.worker.copy_walk import DIRECTORY, fingerprint_of, walk
from builder.worker.target_tree import give
from builder.worker.tree_writer import TreeWriter, Writing, metadata_of, no_directory


class TreeCopier:
    """Copies matches into one target, one after the other."""

    def __init__(self, writing: Writing, *, exclude: Sequence[str], now_ns: int) -> None:
        self._writing = writing
        self._exclude = exclude
        self._now_ns = now_ns
        self.fingerprint = 0  # of the contexts' files, as `copy_digest` has it

    def copy(self, match: Match, dest: str, contents: Contents | None = None) -> None:
        """Copy one match to `dest`, whose "/" at the end says that it is a directory.

        `contents`: what is known of its files, to take over what an earlier run has brought.
        """
        if match.is_dir:
            self._directory(match, dest, contents)
        else:
            self._single(match, dest, contents)

    def write_inline(self, file: InlineFile, dest: str) -> None:
        """A file whose content stands in the Dockerfile."""
        path = self._place(file.name, dest)
        parent, _, name = path.rpartition("/")
        directory = self._writing.target.open_directory(parent)
        writing = self._writing
        uid, gid = writing.owner or (0, 0)
        mode = file.mode if writing.mode_of is None else writing.mode_of(stat.S_IFREG | file.mode)
        data = file.content.encode("utf-8", "surrogateescape")
        mtime_ns = writing.target.clamped(self._now_ns)
        try:
            out = os.open(name, CREATE, 0o600, dir_fd=directory)
            try:
                write_all(out, data)
                give(out, path, uid, gid)
                os.fchmod(out, mode)
                os.utime(out, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(out)
        finally:
            os.close(directory)
        if writing.stream is not None:
            metadata = metadata_of(mode, uid, gid, mtime_ns)
            writing.stream.add_file(os.fsencode(path), metadata, len(data), data)

    def _place(self, name: str, dest: str) -> str:
        """Where a file called `name` goes; its parents are made, and room for it."""
        target = self._writing.target
        path = target.resolve(dest)
        status = target.status(path)
        if dest.endswith("/") or (status is not None and stat.S_ISDIR(status.st_mode)):
            path = f"{path}/{name}" if path else name
        self._make_directories(path.rpartition("/")[0])
        target.make_room(path)
        return path

    def _make_directories(self, path: str) -> None:
        self._writing.target.make_directories(path)
        names = path.split("/") if path else []
        for end in range(1, len(names) + 1):
            self._writing.tell_directory("/".join(names[:end]))

    def _single(self, match: Match, dest: str, contents: Contents | None) -> None:
        path = self._place(match.name, dest)
        parent, _, name = path.rpartition("/")
        source_parent, _, source_name = match.path.rpartition("/")
        source = match.tree.open(source_parent, DIRECTORY)
        try:
            status = os.stat(source_name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                raise StepFailedError(f'"{match.path}" is a socket: it cannot be copied')
            with TreeWriter(self._writing, match, parent, contents) as writer:
                writer.other(source, source_name, name, status)
            self.saw(match, fingerprint_of(0, [(source_name, status)]))
        finally:
            os.close(source)

    def _directory(self, match: Match, dest: str, contents: Contents | None) -> None:
        path = self._writing.target.resolve(dest)
        status = self._writing.target.status(path)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise no_directory(path)
        self._make_directories(path)
        with TreeWriter(self._writing, match, path, contents) as writer:
            walk(match, self._exclude, writer)
        self.saw(match, writer.fingerprint)

    def saw(self, match: Match, fingerprint: int) -> None:
        """What a match's files were like."""
        if match.tree.is_context:
            self.fingerprint = hash((self.fingerprint, fingerprint))
