"""Programs for another machine, and an emulator of it that the kernel knows for a while."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QEMU = "qemu-aarch64-static"
_MISC = Path("/proc/sys/fs/binfmt_misc")
_NAME = "pybuild-test-aarch64"
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


def aarch64_program(text: str) -> bytes:
    """A static program for arm64 that writes `text` and ends well."""
    message = text.encode()
    code = struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1
        0x100000E1,  # adr x1, the message behind the code
        0xD2800002 | len(message) << 5,  # mov x2, #length
        0xD2800808,  # mov x8, #64: write
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93: exit
        0xD4000001,  # svc #0
    )
    body, base, headers = code + message, 0x400000, 64 + 56
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, 0xB7, 1, base + headers, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    size = headers + len(body)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x10000)
    return ident + header + segment + body


@contextmanager
def emulated_aarch64() -> Iterator[None]:
    """The kernel gives programs for arm64 to qemu; root's to say."""
    interpreter = shutil.which(QEMU)
    assert interpreter, "the test needs it"
    mounted = not (_MISC / "register").exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(_MISC)], check=True)
    try:
        (_MISC / "register").write_text(f":{_NAME}:M::{_MAGIC}:{_MASK}:{interpreter}:F")
        try:
            yield
        finally:
            (_MISC / _NAME).write_text("-1")
    finally:
        if mounted:
            subprocess.run(["umount", str(_MISC)], check=True)
