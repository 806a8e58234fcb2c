"""Layers in formats that some tools read piece by piece and all others as what they are.

Made here by hand, by the formats' own descriptions.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib

import zstandard

TOC_NAME = "stargz.index.json"


def estargz(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """An eStargz layer and its plain tar: a gzip member for each file, one for the table, a footer.

    The table of contents is a file of the archive. Spec: stargz-snapshotter docs/estargz.md.
    """
    members = [_tar_member(name, content) for name, content in files.items()]
    entries = [{"name": name, "type": "reg", "size": len(data)} for name, data in files.items()]
    toc = _tar_member(TOC_NAME, json.dumps({"version": 1, "entries": entries}).encode())
    parts = [*members, toc + bytes(1024)]
    zipped = [gzip.compress(part, mtime=0) for part in parts]
    toc_offset = sum(map(len, zipped[:-1]))
    subfield = f"{toc_offset:016x}STARGZ".encode()
    extra = b"SG" + struct.pack("<H", len(subfield)) + subfield
    footer = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", len(extra)) + extra
    deflate = zlib.compressobj(0, wbits=-15)
    footer += deflate.flush() + bytes(8)
    return b"".join(zipped) + footer, b"".join(parts)


def zstd_chunked(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """A zstd:chunked layer and its plain tar: a frame for each file, then frames to be skipped.

    Spec: containers/storage, pkg/chunked.
    """
    parts = [_tar_member(name, content) for name, content in files.items()]
    parts.append(bytes(1024))
    compressor = zstandard.ZstdCompressor()
    frames = [compressor.compress(part) for part in parts]
    toc = compressor.compress(json.dumps({"version": 1, "entries": []}).encode())
    footer = struct.pack("<7Q", sum(map(len, frames)) + 8, len(toc), 30, 1, 0, 0, 0) + b"GNUlInUx"
    return b"".join([*frames, _skipped(toc), _skipped(footer)]), b"".join(parts)


def _skipped(content: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, len(content)) + content


def _tar_member(name: str, content: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    buffer = io.BytesIO()
    buffer.write(member.tobuf(tarfile.USTAR_FORMAT))
    buffer.write(content + bytes(-len(content) % 512))
    return buffer.getvalue()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
