"""What is copied, wherever it comes from and wherever it goes."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from cache.errors import PybuildError
from cache.record import record

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]


class CopyError(PybuildError):
    """Something that cannot be copied so."""

    code: ClassVar[str] = "copy"


class Content(Protocol):
    """What is in a file; good until the next entry is taken."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` of the next bytes; none at the end."""
        ...

    def copy_to(self, file: int) -> None:
        """Write the rest to an open, empty file; holes stay holes."""
        ...


@record
class Entry:
    """One file, directory, link, device or FIFO."""

    name: str  # relative, clean, "/" between its parts; "" for what was asked for itself
    kind: Kind
    mode: int  # permission bits, with setuid, setgid, sticky
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int = 0  # of a file
    link_name: str = ""  # what a symlink says; of a hard link the other entry's name
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    content: Content | None = None  # of a file
