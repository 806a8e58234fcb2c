"""One tar header as bytes, and back. Spec: POSIX.1-2017 pax, ustar interchange format.

Written is ustar with PAX records only where ustar has no room: names that are long or not ASCII,
sizes from 8 GiB, ids from 2^21, times before 1970, xattrs. Read are also GNU's and the old form.
"""

from __future__ import annotations

from builder.layer.errors import BadArchiveError
from cache.record import record

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)
XATTR_PREFIX = b"SCHILY.xattr."

FILE = b"0"
HARDLINK = b"1"
SYMLINK = b"2"
CHARACTER = b"3"
DEVICE_BLOCK = b"4"
DIRECTORY = b"5"
FIFO = b"6"
PAX_NEXT = b"x"
PAX_GLOBAL = b"g"
GNU_LONG_LINK = b"K"
GNU_LONG_NAME = b"L"
GNU_SPARSE = b"S"

_NUMBERS = b"%07o\0%07o\0%07o\0%011o\0%011o\0"  # mode, uid, gid, size, mtime
_MAX_7 = 0o7777777
_MAX_11 = 0o77777777777
_NO_NAME = bytes(100)
_MAGIC = b"ustar\x0000" + bytes(64)  # no user and group names: they differ between machines
_NO_DEVICE = b"0000000\x000000000\0"
_NO_PREFIX = bytes(155 + 12)
_PAX_NAME = b"././@PaxHeader"


@record
class Metadata:
    """What every member has. Times are whole seconds: all that ustar keeps."""

    mode: int  # permission bits, with setuid, setgid, sticky
    uid: int
    gid: int
    mtime: int
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def _plain_tail(kind: bytes) -> tuple[int, bytes]:
    tail = kind + _NO_NAME + _MAGIC + _NO_DEVICE + _NO_PREFIX
    return sum(tail) + 8 * 0x20, tail  # the checksum counts its own field as spaces


_TAILS = {kind: _plain_tail(kind) for kind in (FILE, DIRECTORY, FIFO, PAX_NEXT)}


_PAX_METADATA = Metadata(mode=0o644, uid=0, gid=0, mtime=0)


def padding(size_bytes: int) -> bytes:
    """What follows a member's data up to the next block."""
    return bytes(-size_bytes % BLOCK)


def padded(content: bytes) -> bytes:
    """`content`, filled up to whole blocks."""
    return content + padding(len(content))


def header(
    kind: bytes,
    name: bytes,
    metadata: Metadata,
    *,
    size_bytes: int = 0,
    link_name: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """The header blocks of one member: its PAX records, where it needs any, then its ustar header.

    Directories' names end in "/". The same arguments give the same bytes.
    """
    if (
        metadata.xattrs
        or link_name
        or len(name) > 100
        or kind not in _TAILS
        or not name.isascii()
        or not 0 <= metadata.mtime <= _MAX_11
        or size_bytes > _MAX_11
        or metadata.uid > _MAX_7
        or metadata.gid > _MAX_7
    ):
        return _full_header(
            kind, name, metadata, size_bytes=size_bytes, link_name=link_name, device=device
        )
    numbers = _NUMBERS % (metadata.mode, metadata.uid, metadata.gid, size_bytes, metadata.mtime)
    checksum, tail = _TAILS[kind]
    return b"%b%b%06o\0 %b" % (
        name.ljust(100, b"\0"),
        numbers,
        checksum + sum(name) + sum(numbers),
        tail,
    )


def _full_header(
    kind: bytes,
    name: bytes,
    metadata: Metadata,
    *,
    size_bytes: int,
    link_name: bytes,
    device: tuple[int, int],
) -> bytes:
    records = [(XATTR_PREFIX + _escape(key), value) for key, value in metadata.xattrs]
    prefix, short_name = _split(name)
    if len(short_name) > 100 or not name.isascii():
        records.append((b"path", name))
        prefix, short_name = b"", name[:100].rstrip(b"/")
    if len(link_name) > 100 or not link_name.isascii():
        records.append((b"linkpath", link_name))

    def fitting(key: bytes, value: int, limit: int) -> int:
        if 0 <= value <= limit:
            return value
        records.append((key, b"%d" % value))
        return 0

    numbers = _NUMBERS % (
        metadata.mode,
        fitting(b"uid", metadata.uid, _MAX_7),
        fitting(b"gid", metadata.gid, _MAX_7),
        fitting(b"size", size_bytes, _MAX_11),
        fitting(b"mtime", metadata.mtime, _MAX_11),
    )
    head = short_name.ljust(100, b"\0") + numbers
    tail = b"%b%b%b%07o\0%07o\0%b" % (
        kind,
        link_name[:100].ljust(100, b"\0"),
        _MAGIC,
        *device,
        prefix.ljust(155 + 12, b"\0"),
    )
    block = b"%b%06o\0 %b" % (head, sum(head) + sum(tail) + 8 * 0x20, tail)
    return _pax_member(records) + block if records else block


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Prefix and name for a ustar header; the name is longer than 100 where they can't be split."""
    cut = name.rfind(b"/", 0, min(156, len(name) - 1)) if len(name) > 100 else -1
    return (name[:cut], name[cut + 1 :]) if cut > 0 else (b"", name)


def _pax_member(records: list[tuple[bytes, bytes]]) -> bytes:
    content = b"".join(_pax_record(key, value) for key, value in sorted(records))
    return header(PAX_NEXT, _PAX_NAME, _PAX_METADATA, size_bytes=len(content)) + padded(content)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """LENGTH, space, KEY=VALUE and a line feed, where LENGTH counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _escape(xattr_name: bytes) -> bytes:
    """As GNU tar does, since a PAX key can't hold "="."""
    return xattr_name.replace(b"%", b"%25").replace(b"=", b"%3D")


def unescape_xattr(key: bytes) -> bytes:
    """The xattr's name in a PAX key, after the prefix."""
    return key.replace(b"%3D", b"=").replace(b"%25", b"%")


def parse_pax(content: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values of a PAX header's content, in order."""
    records: list[tuple[bytes, bytes]] = []
    position = 0
    end = len(content.rstrip(b"\0")) if content.endswith(b"\0") else len(content)
    while position < end:
        space = content.find(b" ", position, position + 20)
        digits = content[position:space]
        if space < 0 or not digits.isdigit():
            raise BadArchiveError("a PAX header of the archive is damaged")
        stop = position + int(digits)
        equals = content.find(b"=", space, stop)
        if equals < 0 or stop > len(content) or content[stop - 1 : stop] != b"\n":
            raise BadArchiveError("a PAX header of the archive is damaged")
        records.append((content[space + 1 : equals], content[equals + 1 : stop - 1]))
        position = stop
    return records


def parse_number(field: bytes) -> int:
    """A header's number: octal digits, or GNU's base-256 where the first byte's top bit is set.

    Spec: GNU tar manual, "Extensions to the format".
    """
    if field[:1] >= b"\x80":
        negative = field[0] & 0x40
        value = int.from_bytes(bytes((field[0] & 0x3F,)) + field[1:], "big")
        return value - (1 << (8 * len(field) - 2)) if negative else value
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    try:
        return int(digits if digits.isdigit() else b"none", 8)  # int alone takes "0o7" and "1_7"
    except ValueError:
        raise BadArchiveError("a header of the archive holds a number that is none") from None


def checksum_fits(block: bytes) -> bool:
    """Whether the header's checksum is right: of unsigned bytes, or signed ones as some write."""
    stored = parse_number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
    if stored == unsigned:
        return True
    high = sum(1 for byte in block[:148] + block[156:] if byte >= 0x80)
    return stored == unsigned - 256 * high
