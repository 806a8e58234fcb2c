"""A tar as entries, and entries as a tar."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator

from builder.layer import tarheader
from builder.layer.tarheader import Metadata
from builder.layer.tarreader import read_members
from builder.runtime.copying.entries import Content, Entry
from cache.digest import Reader, Writer

_SECOND_NS = 1_000_000_000
_CHUNK_BYTES = 1 << 18
_KINDS = {
    "file": tarheader.FILE,
    "directory": tarheader.DIRECTORY,
    "symlink": tarheader.SYMLINK,
    "hardlink": tarheader.HARDLINK,
    "character": tarheader.CHARACTER,
    "block": tarheader.DEVICE_BLOCK,
    "fifo": tarheader.FIFO,
}


def read_entries(plain: Reader) -> Iterator[Entry]:
    """The members of a plain tar; names that lead out of the archive's root stay below it.

    BadArchiveError for a damaged one.
    """
    for member in read_members(plain):
        is_link = member.kind == "hardlink"
        yield Entry(
            name=_inside(member.name),
            kind=member.kind,
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            mtime_ns=member.mtime_ns,
            size_bytes=member.size_bytes,
            link_name=_inside(member.link_name) if is_link else member.link_name,
            device=member.device,
            xattrs=member.xattrs,
            content=member.data if member.kind == "file" else None,
        )


def _inside(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def write_entries(entries: Iterable[Entry], top: str, out: Writer) -> None:
    """A tar of them, below the name `top`; "" is an archive of what is in a directory.

    A file that grows or shrinks meanwhile has the length in the archive that it had at first.
    """
    for entry in entries:
        name = posixpath.join(top, entry.name) if entry.name else top or "."
        link_name = entry.link_name
        if entry.kind == "hardlink":
            link_name = posixpath.join(top, link_name) if link_name else top
        raw = os.fsencode(name) + (b"/" if entry.kind == "directory" else b"")
        out.write(
            tarheader.header(
                _KINDS[entry.kind],
                raw,
                Metadata(
                    entry.mode, entry.uid, entry.gid, entry.mtime_ns // _SECOND_NS, entry.xattrs
                ),
                size_bytes=entry.size_bytes,
                link_name=os.fsencode(link_name),
                device=entry.device,
            )
        )
        if entry.content is not None and entry.size_bytes:
            _write_content(entry.content, entry.size_bytes, out)
    out.write(tarheader.END_OF_ARCHIVE)


def _write_content(content: Content, size_bytes: int, out: Writer) -> None:
    left = size_bytes
    while left and (data := content.read(min(left, _CHUNK_BYTES))):
        out.write(data)
        left -= len(data)
    while left:
        piece = bytes(min(left, _CHUNK_BYTES))
        out.write(piece)
        left -= len(piece)
    out.write(tarheader.padding(size_bytes))
