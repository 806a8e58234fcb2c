"""A build context that comes as a tar archive: its members in a directory of their own."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack

from builder.errors import UsageError
from builder.layer.compress import decompressed
from builder.layer.errors import BadArchiveError
from builder.layer.tarreader import is_archive as is_tar
from builder.worker.copy_archive import unpack_members
from builder.worker.target_tree import DirectoryAttributes, TargetTree
from cache.digest import Reader
from cache.statedir import remove_tree


def is_archive(start: bytes) -> bool:
    """Whether what begins with these bytes (512 will do) is a tar, compressed or not."""
    try:
        return is_tar(decompressed(_Bytes(start)))
    except BadArchiveError:
        return True  # compressed, and longer than what is here


def extract_context(archive: Reader, stack: ExitStack, *, limit_bytes: int | None = None) -> str:
    """Unpack a tar, compressed or not, into a directory that goes when `stack` ends.

    Names, links and hard links stay inside; owners don't matter. UsageError for a damaged one, or
    one whose plain tar is longer than `limit_bytes`.
    """
    directory = tempfile.mkdtemp(prefix="pybuild-context-")
    stack.callback(remove_tree, directory)
    everything = DirectoryAttributes(0o755, 0, 0, time.time_ns())
    target = TargetTree(directory, None, new_directory=everything, userxattr=True)
    try:
        plain = decompressed(archive, limit_bytes=limit_bytes)
        unpack_members(plain, target, "", owner=(0, 0))
    except BadArchiveError as error:
        raise UsageError(f"the context: {error.message}", hint=error.hint) from error
    target.finish()
    return directory


class _Bytes:
    """Bytes as a Reader."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1, /) -> bytes:
        taken = self._content if size < 0 else self._content[:size]
        self._content = self._content[len(taken) :]
        return taken
