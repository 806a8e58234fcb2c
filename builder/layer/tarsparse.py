"""Sparse files in archives: which parts of a file its member holds; the rest is zeros.

Spec: GNU tar manual, "Storing Sparse Files". Old GNU has the map in and after the header, PAX 0.0
and 0.1 in records, PAX 1.0 in front of the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.layer.errors import BadArchiveError
from builder.layer.tarheader import BLOCK, parse_number
from builder.layer.tarinput import TarInput

Extents = tuple[tuple[int, int], ...]
"""Offset and length of each part that is there, in order."""

_MAX_EXTENTS = 1_000_000


def old_gnu_extents(header: bytes, source: TarInput) -> tuple[Extents, int]:
    """The extents of a member of GNU's type "S", and the size of the whole file."""
    extents = _table(header[386:482])
    more = header[482]
    while more:
        block = source.exactly(BLOCK)
        extents += _table(block[:504])
        more = block[504]
        _check_count(len(extents))
    size_bytes = parse_number(header[483:495])
    return _checked(extents, size_bytes), size_bytes


def _table(entries: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start in range(0, len(entries), 24):
        entry = entries[start : start + 24]
        if not entry[0]:
            break
        found.append((parse_number(entry[:12]), parse_number(entry[12:])))
    return found


def record_extents(records: Sequence[tuple[bytes, bytes]], size_bytes: int) -> Extents:
    """The extents that the records of PAX 0.0 or 0.1 name."""
    numbers: list[int] = []
    for key, value in records:
        if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
            numbers.append(decimal(value))
        elif key == b"GNU.sparse.map":
            numbers = [decimal(part) for part in value.split(b",") if part]
    return _paired(numbers, size_bytes)


def leading_extents(source: TarInput, size_bytes: int) -> tuple[Extents, int]:
    """The extents of PAX 1.0, and how many bytes their map took of the member's data."""
    lines = source.exactly(BLOCK)
    taken = BLOCK
    wanted = 1
    while (count := lines.count(b"\n")) < wanted or wanted == 1:
        if count:
            wanted = 1 + 2 * decimal(lines.partition(b"\n")[0])
            _check_count(wanted // 2)
            if count >= wanted:
                break
        lines += source.exactly(BLOCK)
        taken += BLOCK
    numbers = [decimal(line) for line in lines.split(b"\n")[1:wanted]]
    return _paired(numbers, size_bytes), taken


def decimal(text: bytes) -> int:
    """A number of a PAX record."""
    if not text.isdigit() or len(text) > 20:
        raise BadArchiveError("a PAX header of the archive holds a number that is none")
    return int(text)


def _paired(numbers: list[int], size_bytes: int) -> Extents:
    if len(numbers) % 2:
        raise _damaged()
    return _checked(list(zip(numbers[::2], numbers[1::2], strict=True)), size_bytes)


def _checked(extents: list[tuple[int, int]], size_bytes: int) -> Extents:
    _check_count(len(extents))
    end = 0
    for offset, length in extents:
        if offset < end or length < 0:
            raise _damaged()
        end = offset + length
    if end > size_bytes:
        raise _damaged()
    return tuple(extent for extent in extents if extent[1])


def _check_count(count: int) -> None:
    if count > _MAX_EXTENTS:
        raise BadArchiveError("a sparse file in the archive has too many parts")


def _damaged() -> BadArchiveError:
    return BadArchiveError("the map of a sparse file in the archive is damaged")
