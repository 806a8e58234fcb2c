"""What a program needs of its machine, read from its ELF headers. Spec: elf(5), ld.so(8).

Nothing is executed: `ldd` would run the program's own loader.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_ENTRY = struct.Struct("<iIIIQ")
_CACHE_HEADER_BYTES = 48


@dataclass(frozen=True, slots=True)
class Elf:
    """A program or shared library."""

    kind: tuple[int, int, int]  # word size, byte order, machine: what it can be linked with
    interpreter: str  # the loader; "" for none
    needed: tuple[str, ...]
    search_dirs: tuple[str, ...]  # DT_RUNPATH, else DT_RPATH; may begin with $ORIGIN


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def read_elf(path: str) -> Elf | None:
    """The headers of the file; None where it is no ELF file, or a damaged one."""
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
            try:
                return _Reader(image).elf()
            except (struct.error, ValueError, IndexError, OverflowError):
                return None


class _Reader:
    def __init__(self, image: mmap.mmap) -> None:
        self._image = image
        self._is_64 = image[4] == 2
        self._order = ">" if image[5] == 2 else "<"
        self._segments = tuple(self._read_segments())

    def elf(self) -> Elf:
        (machine,) = self._unpack("H", 18)
        names = tuple(self._dynamic_names())
        runpath = [name for tag, name in names if tag == _DT_RUNPATH]
        rpath = [name for tag, name in names if tag == _DT_RPATH]
        return Elf(
            kind=(self._image[4], self._image[5], machine),
            interpreter=self._interpreter(),
            needed=tuple(name for tag, name in names if tag == _DT_NEEDED),
            search_dirs=tuple(":".join(runpath or rpath).split(":")) if runpath or rpath else (),
        )

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + layout, self._image, offset)

    def _read_segments(self) -> Iterator[_Segment]:
        table, size, count = (
            (*self._unpack("Q", 32), *self._unpack("HH", 54))
            if self._is_64
            else (*self._unpack("I", 28), *self._unpack("HH", 42))
        )
        for number in range(count):
            start = table + number * size
            if self._is_64:
                kind, _, offset, address, _, length = self._unpack("IIQQQQ", start)
            else:
                kind, offset, address, _, length = self._unpack("IIIII", start)
            yield _Segment(kind, offset, address, length)

    def _interpreter(self) -> str:
        for segment in self._segments:
            if segment.kind == _PT_INTERP:
                return os.fsdecode(self._text(segment.offset))
        return ""

    def _dynamic_names(self) -> Iterator[tuple[int, str]]:
        entries = list(self._dynamic_entries())
        tables = [value for tag, value in entries if tag == _DT_STRTAB]
        for tag, value in entries:
            if tag in {_DT_NEEDED, _DT_RPATH, _DT_RUNPATH} and tables:
                yield tag, os.fsdecode(self._text(self._offset_of(tables[0]) + value))

    def _dynamic_entries(self) -> Iterator[tuple[int, int]]:
        layout, step = ("qQ", 16) if self._is_64 else ("iI", 8)
        for segment in self._segments:
            if segment.kind == _PT_DYNAMIC:
                for offset in range(segment.offset, segment.offset + segment.size, step):
                    tag, value = self._unpack(layout, offset)
                    if tag == _DT_NULL:
                        return
                    yield tag, value

    def _offset_of(self, address: int) -> int:
        for segment in self._segments:
            if segment.kind == _PT_LOAD and 0 <= address - segment.address < segment.size:
                return segment.offset + address - segment.address
        raise ValueError("an address outside of the file")

    def _text(self, offset: int) -> bytes:
        end = self._image.find(b"\0", offset)
        if end < 0:
            raise ValueError("a text without an end")
        return self._image[offset:end]


def read_loader_cache(path: str) -> Mapping[str, tuple[str, ...]]:
    """Library name → paths, from ld.so.cache; {} where there is none of the format since glibc 2.2.

    Entries for processors with certain features are left out: an image is for all of them.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    start = content.find(_CACHE_MAGIC)
    if start < 0:
        return {}
    cache = content[start:]
    found: dict[str, tuple[str, ...]] = {}
    (count,) = struct.unpack_from("<I", cache, len(_CACHE_MAGIC))
    for number in range(count):
        offset = _CACHE_HEADER_BYTES + number * _CACHE_ENTRY.size
        _, key, value, _, features = _CACHE_ENTRY.unpack_from(cache, offset)
        if features == 0:
            name = _text_at(cache, key)
            found[name] = (*found.get(name, ()), _text_at(cache, value))
    return found


def _text_at(content: bytes, offset: int) -> str:
    return os.fsdecode(content[offset : content.index(b"\0", offset)])
