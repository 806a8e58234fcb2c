"""Tiny ELF files: headers that say what a program needs, and no code."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X86_64 = 62
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RUNPATH = 0, 1, 5, 29
_BASE = 0x400000


def elf64(
    needed: Sequence[str] = (),
    *,
    interpreter: str = "",
    runpath: str = "",
    machine: int = X86_64,
) -> bytes:
    """A little-endian 64-bit file with these dynamic entries."""
    strings = bytearray(b"\0")

    def string(text: str) -> int:
        offset = len(strings)
        strings.extend(text.encode() + b"\0")
        return offset

    entries = [(_DT_NEEDED, string(name)) for name in needed]
    entries += [(_DT_RUNPATH, string(runpath))] if runpath else []
    interp = interpreter.encode() + b"\0" if interpreter else b""
    count = 3 if interp else 2
    table = 64
    interp_at = table + count * 56
    dynamic_at = interp_at + len(interp)
    dynamic_size = (len(entries) + 2) * 16
    strings_at = dynamic_at + dynamic_size
    entries = [(_DT_STRTAB, _BASE + strings_at), *entries, (_DT_NULL, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    total = strings_at + len(strings)
    headers = _segment(1, 0, total) + _segment(2, dynamic_at, dynamic_size)
    headers += _segment(3, interp_at, len(interp)) if interp else b""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, table, 0, 0, 64, 56, count, 0, 0, 0)
    return ident + head + headers + interp + dynamic + bytes(strings)


def _segment(kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 4, offset, _BASE + offset, 0, size, size, 1)
