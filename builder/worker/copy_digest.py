"""The digest of what a COPY takes: names, types, modes, owners, data, link targets, xattrs.

No times. It is sha256 over one record a file, in the order of the walk. For a context the data's
part of a record is the xxh3 digest from the table of known files, so that such a digest means
something on this machine only; for anything else it is the sha256 of the data.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from typing import Self

from builder.layer.xattrs import read_xattrs
from builder.worker.chmod import ModeOf
from builder.worker.copy_file import READ, WHOLE_BYTES, changed, read_whole
from builder.worker.copy_select import Match
from builder.worker.copy_walk import DIRECTORY, Entries, directory_fingerprint, fingerprint_of, walk
from builder.worker.source_tree import failure_of, xattr_names
from cache.filehash import FileDigest, FileDigests, digest_of_bytes, digest_of_file

_CHUNK = 1 << 20


class FilesDigest:
    """Takes in one match after the other; `digest` covers all of them."""

    def __init__(
        self,
        digests: FileDigests,
        *,
        mode_of: ModeOf | None,
        keeps_owner: bool,
        exclude: Sequence[str],
    ) -> None:
        """`keeps_owner`: the owner is not given by --chown, so a source's own counts."""
        self._digests = digests
        self._mode_of = mode_of
        self._keeps_owner = keeps_owner
        self._exclude = exclude
        self._hash = hashlib.sha256()
        self.fingerprint = 0  # of the contexts' files as they are: changes when one is touched
        self.contents: list[list[bytes]] = []  # of each match, its files' digests in its order

    @property
    def digest(self) -> bytes:
        """Of all that was added."""
        return self._hash.digest()

    def add_text(self, text: str) -> None:
        """Something else that decides what the copy gives."""
        self._hash.update(f"{len(text)}\0{text}".encode("utf-8", "surrogateescape"))

    def add(self, match: Match) -> None:
        """One match with all that is below it."""
        looked_at_ns = time.time_ns()
        records = _Records(match, self._mode_of, keeps_owner=self._keeps_owner)
        self.add_text(f"{'directory' if match.is_dir else 'file'} {match.tree.is_context}")
        if match.is_dir:
            walk(match, self._exclude, records)
        else:
            parent, _, name = match.path.rpartition("/")
            directory = match.tree.open(parent, DIRECTORY)
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                records.single(match.name, name, status)
            finally:
                os.close(directory)
        digests = self._contents(match, records, looked_at_ns)
        self.contents.append(digests)
        self._hash.update(records.encoded(digests))
        self._hash.update(b"\0\0")
        if match.tree.is_context:
            self.fingerprint = hash((self.fingerprint, records.fingerprint))

    def _contents(self, match: Match, records: _Records, looked_at_ns: int) -> list[bytes]:
        with _Files(match) as files:
            if not match.tree.is_context:
                return [files.sha256(path) for path, _ in records.files]
            known = self._digests.known([status for _, status in records.files])
            contents: list[bytes] = []
            read: list[tuple[os.stat_result, FileDigest]] = []
            for (path, status), digest in zip(records.files, known, strict=True):
                if digest is None:
                    digest = files.local_digest(path, status)  # noqa: PLW2901
                    read.append((status, digest))
                contents.append(digest)
        if read:
            self._digests.remember(read, looked_at_ns=looked_at_ns)
        return contents


class _Records:
    """The records of one match but for the files' data: a `copy_walk.Visitor`."""

    def __init__(self, match: Match, mode_of: ModeOf | None, *, keeps_owner: bool) -> None:
        self.files: list[tuple[str, os.stat_result]] = []  # whose data counts: path in the tree
        self.fingerprint = 0
        self._parts: list[str] = []
        self._slots: list[int] = []  # where a file's data belongs
        self._first_names: dict[tuple[int, int], str] = {}
        self._mode_of = mode_of
        self._keeps_owner = keeps_owner and not match.tree.is_context
        self._prefix = f"{match.path}/" if match.path else ""
        self._root = match.tree.root_dir

    def enter(self, path: str, status: os.stat_result, directory: int) -> None:
        """As `Visitor.enter`."""
        names = xattr_names(directory)
        self._parts.append(f"d{path}\0{self._attributes(status)}\0")
        if names:
            self._xattrs(directory, names)
        self.fingerprint = directory_fingerprint(self.fingerprint, path, status)

    def leave(self) -> None:
        """As `Visitor.leave`: every record has its whole path."""

    def single(self, path: str, source_name: str, status: os.stat_result) -> None:
        """The match itself, called `path` in the image."""
        parent = self._prefix.rstrip("/").rpartition("/")[0]
        self._prefix = f"{parent}/" if parent else ""
        self._add([(source_name, status)], "", {source_name: path})

    def others(self, path: str, entries: Entries, directory: int) -> None:  # noqa: ARG002
        """As `Visitor.others`."""
        self._add(entries, f"{path}/" if path else "", {})

    def _add(self, entries: Entries, prefix: str, renamed: dict[str, str]) -> None:
        parts, root, tree_prefix = self._parts, self._root, self._prefix + prefix
        for name, status in entries:
            mode = status.st_mode
            kind = stat.S_IFMT(mode)
            path = prefix + renamed.get(name, name) if renamed else prefix + name
            if kind == stat.S_IFREG:
                if status.st_nlink > 1 and self._is_link(path, status):
                    continue
                parts.append(f"f{path}\0{self._attributes(status)}\0")
                file = f"{root}/{tree_prefix}{name}"
                names = xattr_names(file)
                if names:
                    self._xattrs(file, names)
                self._slots.append(len(parts))
                parts.append("")
                self.files.append((tree_prefix + name, status))
            elif kind == stat.S_IFLNK:
                target = os.readlink(f"{root}/{tree_prefix}{name}")
                parts.append(f"l{path}\0{self._attributes(status)}\0{target}\0")
            elif kind != stat.S_IFSOCK:
                parts.append(f"s{path}\0{self._attributes(status)} {kind} {status.st_rdev}\0")
        self.fingerprint = fingerprint_of(self.fingerprint, entries)

    def _is_link(self, path: str, status: os.stat_result) -> bool:
        first = self._first_names.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        self._parts.append(f"h{path}\0{first}\0")
        return True

    def _attributes(self, status: os.stat_result) -> str:
        mode = status.st_mode & 0o7777 if self._mode_of is None else self._mode_of(status.st_mode)
        if self._keeps_owner:
            return f"{mode:o} {status.st_uid} {status.st_gid}"
        return f"{mode:o}"

    def _xattrs(self, target: int | str, names: list[str]) -> None:
        for name, value in read_xattrs(target, names):
            self._parts.append(f"x{os.fsdecode(name)}\0{value.hex()}\0")

    def encoded(self, contents: Sequence[bytes]) -> bytes:
        """All records, each file's with the digest of its data."""
        parts = self._parts
        for slot, content in zip(self._slots, contents, strict=True):
            parts[slot] = content.hex()
        return "".join(parts).encode("utf-8", "surrogateescape")


class _Files:
    """Reads files of a match, most of them next to each other. A `with` block."""

    def __init__(self, match: Match) -> None:
        self._tree = match.tree
        self._parent: str = ""
        self._directory = -1  # open: `_parent`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _open(self, path: str) -> int:
        parent, _, name = path.rpartition("/")
        if self._directory < 0 or parent != self._parent:
            self._close()
            self._directory = self._tree.open(parent, DIRECTORY)
            self._parent = parent
        try:
            return os.open(name, READ, dir_fd=self._directory)
        except OSError as error:
            raise failure_of(error, path) from error

    def local_digest(self, path: str, before: os.stat_result) -> FileDigest:
        """For the table; InputChangedError where the file is not the one of the walk."""
        file = self._open(path)
        try:
            if before.st_size > WHOLE_BYTES:
                digest = digest_of_file(file)
            else:
                digest = digest_of_bytes(read_whole(file, before.st_size, path))
            after = os.fstat(file)
        finally:
            os.close(file)
        if after.st_ctime_ns != before.st_ctime_ns or after.st_ino != before.st_ino:
            raise changed(path)
        return digest

    def sha256(self, path: str) -> bytes:
        """For keys that mean the same elsewhere."""
        file = self._open(path)
        try:
            state = hashlib.sha256()
            while content := os.read(file, _CHUNK):
                state.update(content)
            return state.digest()
        finally:
            os.close(file)
