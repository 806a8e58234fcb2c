"""Compressed streams: reading whichever there is, writing gzip and zstd.

What is written depends on the bytes alone: not on the number of threads, nor on the pieces in
which they came.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Literal, Protocol, cast

from builder.layer.errors import BadArchiveError
from cache.digest import Reader, Writer, read_all

Compression = Literal["gzip", "zstd", "uncompressed"]

GZIP_LEVEL = 1
"""Of 0 to 3 by ISA-L, which is many times as fast as zlib; 4 to 9 are zlib's, slow and smaller."""
ZSTD_LEVEL = 2
"""A Debian of 170 MB: level 1 takes 0.45 s of processor and gives 60 MB, 2 0.58 s and 54 MB,
3 0.77 s and 50 MB."""

_MAGIC_BYTES = 6
_CHUNK = 1 << 20
_MAX_THREADS = 4  # each holds a few blocks
_ISAL_MAX_LEVEL = 3
_XZ_MEMORY_BYTES = 128 << 20  # enough for xz -9; the header of a hostile file may ask for 4 GiB


class CompressingWriter(Protocol):
    """Takes plain bytes; the target has all compressed ones after `close`."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> None: ...


def decompressed(source: Reader, *, limit_bytes: int | None = None) -> Reader:
    """The plain bytes of `source`: gzip, zstd, xz, bzip2 or not compressed, as its start says.

    Several frames in a row are one stream. BadArchiveError where it is damaged, cut short, or
    longer than `limit_bytes` when unpacked; what `source` itself raises passes.
    """
    start = b""
    while len(start) < _MAGIC_BYTES and (more := source.read(_CHUNK)):
        start += more
    plain = _decoder(start, _Rest(start, source))
    return plain if limit_bytes is None else _Limited(plain, limit_bytes)


def compressor(
    kind: Compression, target: Writer, *, level: int | None = None, threads: int | None = None
) -> CompressingWriter:
    """Writes what it is given to `target`, compressed; `target` stays open.

    Close it in any case: it may have threads.
    """
    threads = threads or min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    match kind:
        case "uncompressed":
            return _Plain(target)
        case "gzip":
            level = GZIP_LEVEL if level is None else level
            if level > _ISAL_MAX_LEVEL:
                return _Zlib(target, level)
            return _Blocks(_isal(target, level, threads))
        case "zstd":
            return _zstd(target, ZSTD_LEVEL if level is None else level, threads)


class _Rest:
    """What was read already, then the rest."""

    def __init__(self, start: bytes, source: Reader) -> None:
        self._start = start
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        if not self._start:
            return self._source.read(size)
        data = self._start if size < 0 else self._start[:size]
        self._start = self._start[len(data) :]
        return data + self._source.read() if size < 0 else data


class _Limited:
    """Guards against a small file that unpacks to an enormous one."""

    def __init__(self, source: Reader, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = self._left = limit_bytes

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadArchiveError(
                f"the archive unpacks to more than the {self._limit_bytes:,} bytes allowed",
                hint="if you trust it, set PYBUILD_UNPACK_LIMIT to a larger size, or to 0",
            )
        return data


class _Decompressor(Protocol):
    """What the standard library's bz2 and lzma have, and isal."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


class _Frames:
    """Reads one compressed frame after the other; zeros after the last are padding."""

    def __init__(self, source: Reader, new_frame: Callable[[], _Decompressor], what: str) -> None:
        self._source = source
        self._new_frame = new_frame
        self._what = what
        self._frame = new_frame()

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return read_all(self)
        while size:
            if self._frame.eof and not self._next_frame():
                break
            data = self._input() if self._frame.needs_input else b""
            if plain := self._decompress(data, size):
                return plain
        return b""

    def _input(self) -> bytes:
        data = self._source.read(_CHUNK)
        if not data:
            raise _cut_short(self._what)
        return data

    def _next_frame(self) -> bool:
        rest = self._frame.unused_data.lstrip(b"\0")
        while not rest:
            more = self._source.read(_CHUNK)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._source = _Rest(rest, self._source)
        self._frame = self._new_frame()
        return True

    def _decompress(self, data: bytes, size: int) -> bytes:
        try:
            return self._frame.decompress(data, size)
        except Exception as error:  # each library has its own kinds, one an OSError
            raise _damaged(self._what, error) from error


class _Zstd:
    """Reads zstd frames.

    The library's reader takes the end of its source for the end of the data, wherever in a frame
    that is. So a frame of our own is put behind: only where the one before it was whole does its
    content come out as the last bytes.
    """

    _MARK = b"all of it was read"

    def __init__(self, source: Reader) -> None:
        from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError  # noqa: PLC0415 8 ms

        frame = ZstdCompressor(write_checksum=True).compress(self._MARK)
        self._error = ZstdError
        self._kept = b""
        self._plain = ZstdDecompressor().stream_reader(
            cast("IO[bytes]", _Followed(source, frame)), read_across_frames=True
        )

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return read_all(self)
        while size and (data := self._read(size)):
            data = self._kept + data
            self._kept = data[-len(self._MARK) :]
            if len(data) > len(self._MARK):
                return data[: -len(self._MARK)]
        if size and self._kept != self._MARK:
            raise _cut_short("zstd")
        return b""

    def _read(self, size: int) -> bytes:
        try:
            return self._plain.read(size)
        except self._error as error:
            raise _damaged("zstd", error) from error


class _Followed:
    """A source with something behind it."""

    def __init__(self, source: Reader, behind: bytes) -> None:
        self._source = source
        self._behind = behind

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if not data:
            data, self._behind = self._behind, b""
        return data


def _decoder(start: bytes, source: Reader) -> Reader:
    """The reader for data that begins like this."""
    if start.startswith(b"\x1f\x8b"):
        from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor  # noqa: PLC0415

        return _Frames(source, lambda: IgzipDecompressor(flag=DECOMP_GZIP), "gzip")
    # a frame, or one of the 16 kinds of skippable ones that may come first
    if start.startswith(b"\x28\xb5\x2f\xfd") or (
        start[1:4] == b"\x2a\x4d\x18" and 0x50 <= start[0] <= 0x5F
    ):
        return _Zstd(source)
    if start.startswith(b"\xfd7zXZ\0"):
        from lzma import FORMAT_XZ, LZMADecompressor  # noqa: PLC0415

        return _Frames(source, lambda: LZMADecompressor(FORMAT_XZ, _XZ_MEMORY_BYTES), "xz")
    if start.startswith(b"BZh"):
        from bz2 import BZ2Decompressor  # noqa: PLC0415

        return _Frames(source, BZ2Decompressor, "bzip2")
    return source


def _cut_short(what: str) -> BadArchiveError:
    return BadArchiveError(
        f"the {what} data is truncated", hint="was it copied or downloaded whole?"
    )


def _damaged(what: str, error: Exception) -> BadArchiveError:
    return BadArchiveError(f"the {what} data is damaged: {error}")


class _Plain:
    """Passes bytes on as they are."""

    def __init__(self, target: Writer) -> None:
        self._target = target

    def write(self, data: bytes, /) -> None:
        self._target.write(data)

    def close(self) -> None:
        """Nothing was kept back."""


class _Blocks:
    """Cuts what it gets into blocks of one size, on which ISA-L's output depends."""

    def __init__(self, writer: CompressingWriter) -> None:
        self._writer = writer
        self._parts: list[bytes | memoryview] = []
        self._left = _CHUNK

    def write(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while len(rest) >= self._left:
            self._parts.append(rest[: self._left])
            rest = rest[self._left :]
            self._flush()
        if rest:
            self._parts.append(rest)
            self._left -= len(rest)

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._parts:
            self._writer.write(b"".join(self._parts))
            self._parts = []
            self._left = _CHUNK


class _Zlib:
    """Gzip by zlib."""

    def __init__(self, target: Writer, level: int) -> None:
        import zlib  # noqa: PLC0415 only for the slow levels

        self._target = target
        self._deflate = zlib.compressobj(level, wbits=31)  # a gzip header without name and time

    def write(self, data: bytes, /) -> None:
        self._target.write(self._deflate.compress(data))

    def close(self) -> None:
        self._target.write(self._deflate.flush())


def _isal(target: Writer, level: int, threads: int) -> CompressingWriter:
    from isal import igzip_threaded  # noqa: PLC0415 costs 8 ms

    writer: object = igzip_threaded.open(  # type: ignore[no-untyped-call] # pyright: ignore[reportUnknownMemberType]
        _Sink(target), "wb", compresslevel=level, threads=threads, block_size=_CHUNK
    )
    return cast("CompressingWriter", writer)


def _zstd(target: Writer, level: int, threads: int) -> CompressingWriter:
    from zstandard import ZstdCompressor  # noqa: PLC0415 costs 8 ms

    # one thread of the library's gives the same bytes as many; its mode without threads does not
    engine = ZstdCompressor(level=level, threads=threads, write_checksum=True)
    return engine.stream_writer(cast("IO[bytes]", _Sink(target)), closefd=False)


class _Sink:
    """A target that looks enough like a file for the compressing libraries."""

    def __init__(self, target: Writer) -> None:
        self._target = target

    def write(self, data: bytes, /) -> int:
        self._target.write(data)
        return len(data)

    def flush(self) -> None:
        """Whoever owns the target flushes it."""
