"""Questions of the domain name system, for tests of what answers them."""

from __future__ import annotations

import struct

A = 1


def query(name: str, kind: int = A, *, number: int = 7, flags: int = 0x0100) -> bytes:
    labels = [part.encode("latin-1") for part in name.split(".")] if name else []
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, flags, 1, 0, 0, 0) + encoded + struct.pack("!HH", kind, 1)
