"""An archive's members, read from a stream: ustar, PAX, GNU, the old form.

Whoever takes them decides where they may go: names and links are as the archive has them. Of one
bad number, one cut or one wrong checksum an archive is refused as a whole.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Literal

from builder.layer import tarsparse
from builder.layer.errors import BadArchiveError
from builder.layer.tarheader import (
    BLOCK,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    GNU_SPARSE,
    PAX_GLOBAL,
    PAX_NEXT,
    XATTR_PREFIX,
    checksum_fits,
    parse_number,
    parse_pax,
    unescape_xattr,
)
from builder.layer.tarinput import TarInput
from cache.digest import Reader, read_all
from cache.record import record

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]

_KINDS: dict[bytes, Kind] = {
    b"\0": "file",
    b"0": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
    b"7": "file",  # contiguous
    GNU_SPARSE: "file",
}
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_SOLARIS_PAX = b"X"
_MAX_HEADER_BYTES = 1 << 20  # of the headers before a member: no real one comes near
_MAX_NAME_BYTES = 4095  # the kernel's PATH_MAX, less the terminating zero
_MAX_XATTR_NAME = 255  # XATTR_NAME_MAX
_MAX_ID = (1 << 32) - 2
_MAX_SIZE = (1 << 63) - 1
_ZERO_BLOCK = bytes(BLOCK)
_ZEROS = bytes(1 << 20)
_SECOND_NS = 1_000_000_000


class MemberData:
    """A file's content, there until the next member is asked for."""

    def __init__(
        self, source: TarInput, packed_bytes: int, extents: tarsparse.Extents, size_bytes: int
    ) -> None:
        self._source = source
        self._packed_left = packed_bytes
        self._extents = extents
        self._extent = 0
        self._position = 0
        self._size_bytes = size_bytes

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` of the next bytes, or all; zeros where the file has holes."""
        if size < 0:
            return read_all(self)
        size = min(size, self._size_bytes - self._position)
        if not size:
            return b""
        hole, length = self._here()
        data = _ZEROS[: min(size, length)] if hole else self._take(min(size, length))
        self._position += len(data)
        return data

    def copy_to(self, file: int) -> None:
        """Write the rest to an open, empty file; holes stay holes."""
        hole = False
        while self._position < self._size_bytes:
            hole, length = self._here()
            if hole:
                self._position = os.lseek(file, length, os.SEEK_CUR)
                continue
            rest = memoryview(self._take(length))
            self._position += len(rest)
            while rest:
                rest = rest[os.write(file, rest) :]
        if hole:
            os.ftruncate(file, self._size_bytes)

    def skip(self) -> None:
        """Go past what has not been read."""
        self._source.skip(self._packed_left)
        self._packed_left = 0
        self._position = self._size_bytes

    def _here(self) -> tuple[bool, int]:
        """Whether a hole is next, and how far it or the data goes."""
        while self._extent < len(self._extents):
            offset, length = self._extents[self._extent]
            if self._position < offset:
                return True, offset - self._position
            if self._position < offset + length:
                return False, offset + length - self._position
            self._extent += 1
        return True, self._size_bytes - self._position

    def _take(self, size: int) -> bytes:
        data = self._source.some(size)
        self._packed_left -= len(data)
        return data


@record
class Member:
    """One member of an archive."""

    name: str  # as the archive has it: may be absolute, hold "..", end in "/"
    kind: Kind
    mode: int  # permission bits, with setuid, setgid, sticky
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int  # of a file's content; 0 for others
    link_name: str  # of a symlink what it says, of a hard link the other member's name
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    data: MemberData


def read_members(source: Reader) -> Iterator[Member]:
    """The members of a plain tar, in order; `source` is read to its end.

    A member's `data` is good until the next one is taken. BadArchiveError for whatever is no whole
    archive; what the source raises passes.
    """
    stream = TarInput(source)
    headers = _Headers(stream)
    while (block := stream.up_to(BLOCK)) not in {b"", _ZERO_BLOCK}:
        member = headers.add(block)
        if member is not None:
            yield member
            packed = headers.packed_bytes
            member.data.skip()
            stream.skip(-packed % BLOCK)
    headers.check_complete()
    stream.drain()


def is_archive(source: Reader) -> bool:
    """Whether a plain tar starts here: a zero-filled end, or a header whose checksum fits."""
    block = TarInput(source).up_to(BLOCK)
    try:
        return len(block) == BLOCK and block != _ZERO_BLOCK and checksum_fits(block)
    except BadArchiveError:
        return False


class _Headers:
    """Puts a member together from its header and those that came before it."""

    def __init__(self, stream: TarInput) -> None:
        self._stream = stream
        self._global: dict[bytes, bytes] = {}
        self._records: list[tuple[bytes, bytes]] = []
        self._long_name: bytes | None = None
        self._long_link: bytes | None = None
        self._header_bytes = 0
        self.packed_bytes = 0  # of the last member

    def check_complete(self) -> None:
        if self._records or self._long_name is not None or self._long_link is not None:
            raise BadArchiveError("the archive ends between a header and its member")

    def add(self, block: bytes) -> Member | None:
        """The member of this header block; None where it only says something of the next one."""
        if len(block) != BLOCK or not checksum_fits(block):
            raise BadArchiveError("this is not a tar archive, or a header in it is damaged")
        kind = block[156:157]
        if kind in {PAX_NEXT, PAX_GLOBAL, _SOLARIS_PAX, GNU_LONG_NAME, GNU_LONG_LINK}:
            self._add_extension(kind, self._extension(block))
            return None
        member = self._member(block, kind)
        self._records, self._long_name, self._long_link = [], None, None
        self._header_bytes = 0
        return member

    def _extension(self, block: bytes) -> bytes:
        size = parse_number(block[124:136])
        self._header_bytes += max(size, 0)
        if size < 0 or self._header_bytes > _MAX_HEADER_BYTES:
            raise BadArchiveError("a header of the archive has an impossible size")
        return self._stream.exactly(size + -size % BLOCK)[:size]

    def _add_extension(self, kind: bytes, content: bytes) -> None:
        if kind == GNU_LONG_NAME:
            self._long_name = content.partition(b"\0")[0]
        elif kind == GNU_LONG_LINK:
            self._long_link = content.partition(b"\0")[0]
        elif kind == PAX_GLOBAL:
            self._global.update(parse_pax(content))
        else:
            self._records += parse_pax(content)

    def _member(self, block: bytes, type_flag: bytes) -> Member:
        fields: tuple[bytes, ...] = _FIELDS.unpack(block)
        records = {**self._global, **dict(self._records)}
        name = self._name(fields, records)
        kind = _KINDS.get(type_flag)
        if kind is None:
            raise BadArchiveError(f'"{_shown(name)}" in the archive is of a kind that is not known')
        if type_flag == b"\0" and name.endswith(b"/"):
            kind = "directory"  # the old form has no type for it
        link = records.get(b"linkpath") or self._long_link or _text(fields[8])
        data = self._data(kind, type_flag, block, records)
        return Member(
            name=_checked_name(name),
            kind=kind,
            mode=parse_number(fields[1]) & 0o7777,
            uid=_id(records.get(b"uid"), fields[2]),
            gid=_id(records.get(b"gid"), fields[3]),
            mtime_ns=_time_ns(records.get(b"mtime"), fields[5]),
            size_bytes=data[1],
            link_name=_checked_name(link) if kind in {"symlink", "hardlink"} else "",
            device=(_device(fields[13]), _device(fields[14]))
            if kind in {"character", "block"}
            else (0, 0),
            xattrs=_xattrs(records) if records else (),
            data=data[0],
        )

    def _name(self, fields: tuple[bytes, ...], records: dict[bytes, bytes]) -> bytes:
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or self._long_name
        if name is not None:
            return name
        name = _text(fields[0])
        if fields[9] == b"ustar\0":  # GNU's has other things in the prefix's place
            prefix = fields[15][:131] if fields[16].endswith(b"tar\0") else fields[15]  # star's
            if prefix := _text(prefix):
                return prefix + b"/" + name
        return name

    def _data(
        self, kind: Kind, type_flag: bytes, block: bytes, records: dict[bytes, bytes]
    ) -> tuple[MemberData, int]:
        """A member's content and how long it is when the holes are filled in."""
        packed = parse_number(block[124:136])
        if records.get(b"size"):
            packed = tarsparse.decimal(records[b"size"])
        if not 0 <= packed <= _MAX_SIZE:
            raise BadArchiveError("a member of the archive has an impossible size")
        if kind != "file":
            packed = 0  # some write a size for links: no data follows
        self.packed_bytes = packed
        extents, size, map_bytes = self._extents(type_flag, block, records, packed)
        packed -= map_bytes
        if extents is not None and sum(length for _, length in extents) != packed:
            raise BadArchiveError("the map of a sparse file in the archive is damaged")
        if extents is None:
            extents = ((0, size),) if size else ()
        return MemberData(self._stream, packed, extents, size), size

    def _extents(
        self, type_flag: bytes, block: bytes, records: dict[bytes, bytes], packed: int
    ) -> tuple[tarsparse.Extents | None, int, int]:
        """Extents of a sparse file, its size, and how much of its data the map takes."""
        if type_flag == GNU_SPARSE:
            return *tarsparse.old_gnu_extents(block, self._stream), 0
        if b"GNU.sparse.major" in records:
            if records[b"GNU.sparse.major"] != b"1":
                raise BadArchiveError("the archive holds a sparse file of a kind that is not known")
            size = tarsparse.decimal(records.get(b"GNU.sparse.realsize", b""))
            extents, taken = tarsparse.leading_extents(self._stream, size)
            return extents, size, taken
        if b"GNU.sparse.size" in records:
            size = tarsparse.decimal(records[b"GNU.sparse.size"])
            return tarsparse.record_extents(self._records, size), size, 0
        return None, packed, 0


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _shown(name: bytes) -> str:
    return name[:200].decode(errors="replace")


def _checked_name(name: bytes) -> str:
    if not name or b"\0" in name or len(name) > _MAX_NAME_BYTES:
        raise BadArchiveError(
            "a name in the archive is empty, too long or holds a zero byte: " + _shown(name)
        )
    return os.fsdecode(name)


def _id(record: bytes | None, field: bytes) -> int:
    number = tarsparse.decimal(record) if record else parse_number(field)
    if not 0 <= number <= _MAX_ID:
        raise BadArchiveError(f"a member of the archive has an impossible owner: {number}")
    return number


def _device(field: bytes) -> int:
    number = parse_number(field)
    if not 0 <= number < 1 << 20:
        raise BadArchiveError("a device in the archive has an impossible number")
    return number


def _time_ns(record: bytes | None, field: bytes) -> int:
    """Nanoseconds since 1970; times that no file system has become the nearest that it has."""
    if not record:
        time_ns = parse_number(field) * _SECOND_NS
    else:
        text, _, fraction = record.partition(b".")
        if fraction and not fraction.isdigit():
            raise BadArchiveError("a PAX header of the archive holds a time that is none")
        negative = text.startswith(b"-")
        seconds = tarsparse.decimal(text[1:] if negative else text or b"0")
        time_ns = seconds * _SECOND_NS + int(fraction[:9].ljust(9, b"0"))
        time_ns = -time_ns if negative else time_ns
    return max(-(1 << 31) * _SECOND_NS, min(time_ns, (1 << 33) * _SECOND_NS))


def _xattrs(records: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (_xattr_name(key), value) for key, value in records.items() if key.startswith(XATTR_PREFIX)
    )


def _xattr_name(key: bytes) -> bytes:
    """The name that a PAX record's key stands for; one that the kernel could have given."""
    name = unescape_xattr(key[len(XATTR_PREFIX) :])
    namespace, _, rest = name.partition(b".")
    if not namespace or not rest or b"\0" in name or len(name) > _MAX_XATTR_NAME:
        raise BadArchiveError("an extended attribute in the archive has an impossible name")
    return name
