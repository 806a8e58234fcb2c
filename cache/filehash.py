"""Digests of files by what stat says of them, so that an unchanged file is never read again.

The digests are xxh3-128: they compare files of this machine with earlier ones and never leave it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from types import ModuleType
from typing import NewType

from cache.database import Database

FileDigest = NewType("FileDigest", bytes)
"""Raw xxh3-128 of a file's content."""

_SECOND_NS = 1_000_000_000
_RACY_NS = 2 * _SECOND_NS  # some file systems' clocks tick as rarely as this
_CHUNK = 1 << 20
_INTEGER_END = 1 << 63

_Row = tuple[int, int, int, int, bytes]


class FileDigests:
    """The table of known digests, keyed by (device, inode, size, mtime, ctime)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, files: Sequence[os.stat_result]) -> list[FileDigest | None]:
        """For each of `files`, in order, the digest of its content; None where that isn't known."""
        by_device: dict[int, list[int]] = {}
        for status in files:
            by_device.setdefault(status.st_dev, []).append(status.st_ino)
        rows = {device: self._rows(device, inodes) for device, inodes in by_device.items()}
        found: list[FileDigest | None] = []
        for status in files:
            row = rows[status.st_dev].get(status.st_ino)
            same = row is not None and row[1:4] == (
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
            found.append(FileDigest(row[4]) if row is not None and same else None)
        return found

    def remember(
        self, files: Iterable[tuple[os.stat_result, FileDigest]], *, looked_at_ns: int
    ) -> None:
        """Keep digests of contents that were read after these stats were taken, at `looked_at_ns`.

        A file that was written less than 2 s before is left out: it may be written to again
        without a trace in its times.
        """
        rows = [
            (
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                digest,
            )
            for status, digest in files
            if abs(looked_at_ns - status.st_mtime_ns) >= _RACY_NS and _is_storable(status)
        ]
        if rows:
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO file_digests"
                    " (device, inode, size_bytes, mtime_ns, ctime_ns, digest)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )

    def forget_all(self) -> None:
        """Empty the table: everything is hashed again when it is looked at next."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM file_digests")

    def _rows(self, device: int, inodes: list[int]) -> dict[int, _Row]:
        rows: list[_Row] = (
            self._database.connection()
            .execute(
                "SELECT inode, size_bytes, mtime_ns, ctime_ns, digest FROM file_digests"
                " WHERE device = ? AND inode IN (SELECT value FROM json_each(?))",
                (device, json.dumps(inodes)),
            )
            .fetchall()
        )
        return {row[0]: row for row in rows}


def _is_storable(status: os.stat_result) -> bool:
    """Whether SQLite's signed 64 bits hold it; not all inodes of all file systems fit."""
    return status.st_ino < _INTEGER_END and abs(status.st_mtime_ns) < _INTEGER_END


def digest_of_bytes(content: bytes) -> FileDigest:
    """The digest of a whole content at hand."""
    return FileDigest(_xxhash().xxh3_128_digest(content))


def digest_of_file(file: int) -> FileDigest:
    """The digest of what an open file holds from its position on."""
    content = os.read(file, _CHUNK)
    if len(content) < _CHUNK // 2:  # most files: one read, or two to see the end
        rest = os.read(file, _CHUNK)
        if not rest:
            return digest_of_bytes(content)
        content += rest
    state = _xxhash().xxh3_128(content)
    while content := os.read(file, _CHUNK):
        state.update(content)
    return FileDigest(state.digest())


@cache
def _xxhash() -> ModuleType:
    """Only builds that copy files need it; an import statement a file would cost 5 µs each."""
    import xxhash  # noqa: PLC0415

    return xxhash
