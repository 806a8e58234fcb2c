import bz2
import gzip
import io
import lzma
import random
import zlib

import pytest
import zstandard

from builder.layer.compress import compressor, decompressed
from builder.layer.errors import BadArchiveError

random.seed(5)
TEXT = b"".join(
    b"%d a line of text that compresses\n" % random.randrange(1000) for _ in range(20_000)
)
NOISE = random.randbytes(700_000)
CONTENT = TEXT + NOISE

COMPRESSED = {
    "gzip": gzip.compress(CONTENT, 1),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT),
    "xz": lzma.compress(CONTENT, preset=0),
    "bzip2": bz2.compress(CONTENT),
    "none": CONTENT,
}


def unpack(content, **options):
    reader = decompressed(io.BytesIO(content), **options)
    pieces = []
    while piece := reader.read(100_000):
        pieces.append(piece)
    assert reader.read(1) == b""
    return b"".join(pieces)


def compress(kind, content=CONTENT, *, pieces=(1 << 30,), **options):
    target = io.BytesIO()
    writer = compressor(kind, target, **options)
    position = 0
    while position < len(content):
        for size in pieces:
            writer.write(content[position : position + size])
            position += size
    writer.close()
    return target.getvalue()


@pytest.mark.parametrize("kind", list(COMPRESSED))
def test_each_kind_is_told_by_its_start(kind):
    assert unpack(COMPRESSED[kind]) == CONTENT


@pytest.mark.parametrize("kind", list(COMPRESSED)[:-1])
def test_frames_in_a_row_are_one_stream(kind):
    assert unpack(COMPRESSED[kind] * 2) == CONTENT * 2


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_zeros_behind_are_padding(kind):
    assert unpack(COMPRESSED[kind] + bytes(4096)) == CONTENT


@pytest.mark.parametrize("kind", list(COMPRESSED)[:-1])
@pytest.mark.parametrize("cut", [1, 5, 9, 1000, 300_000])
def test_data_that_is_cut_short_is_refused(kind, cut):
    with pytest.raises(BadArchiveError):
        unpack(COMPRESSED[kind][:-cut])


@pytest.mark.parametrize("kind", list(COMPRESSED)[:-1])
def test_damaged_data_is_refused(kind):
    damaged = bytearray(COMPRESSED[kind])
    damaged[len(damaged) // 2] ^= 0x55
    with pytest.raises(BadArchiveError):
        unpack(bytes(damaged))


@pytest.mark.parametrize("kind", list(COMPRESSED)[:-1])
def test_anything_behind_the_data_is_refused(kind):
    with pytest.raises(BadArchiveError):
        unpack(COMPRESSED[kind] + b"garbage")


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f"])
def test_what_is_too_short_for_any_kind_is_plain(content):
    assert unpack(content) == content


def test_a_skippable_zstd_frame_may_come_first():
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    assert unpack(skippable + COMPRESSED["zstd"]) == CONTENT


@pytest.mark.parametrize("kind", list(COMPRESSED))
def test_a_limit_stops_data_that_unpacks_to_more(kind):
    assert unpack(COMPRESSED[kind], limit_bytes=len(CONTENT)) == CONTENT
    with pytest.raises(BadArchiveError, match="more than"):
        unpack(COMPRESSED[kind], limit_bytes=len(CONTENT) - 1)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_a_bomb_is_never_in_memory_as_a_whole(kind):
    zeros = bytes(16 << 20)
    bomb = {
        "gzip": lambda: zlib.compress(zeros, wbits=31),
        "zstd": lambda: zstandard.ZstdCompressor().compress(zeros),
        "xz": lambda: lzma.compress(zeros, preset=0),
        "bzip2": lambda: bz2.compress(zeros),
    }[kind]()
    reader = decompressed(io.BytesIO(bomb))
    assert 0 < len(reader.read(1 << 16)) <= 1 << 16
    assert len(reader.read(1 << 20)) <= 1 << 20


def test_what_the_source_raises_passes():
    class Broken:
        def __init__(self, start):
            self._start = start

        def read(self, size=-1, /):
            start, self._start = self._start, b""
            if not start:
                raise ConnectionError("gone")
            return start

    for content in COMPRESSED.values():
        with pytest.raises(ConnectionError):
            decompressed(Broken(content[:5000])).read()


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        *(("gzip", level) for level in (None, 0, 1, 3, 6)),
        ("zstd", None),
        ("zstd", 9),
        ("uncompressed", None),
    ],
)
def test_what_was_compressed_comes_back(kind, level):
    assert unpack(compress(kind, level=level)) == CONTENT


def test_other_programs_read_what_was_compressed():
    assert gzip.decompress(compress("gzip")) == CONTENT
    assert zstandard.ZstdDecompressor().stream_reader(compress("zstd")).read() == CONTENT


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_bytes_depend_on_neither_threads_nor_pieces(kind):
    expected = compress(kind, threads=1)
    assert compress(kind, threads=3) == expected
    assert compress(kind, threads=2, pieces=(1000, 777_777, 1 << 20, 3)) == expected


@pytest.mark.parametrize("kind", ["gzip", "zstd", "uncompressed"])
def test_nothing_is_compressed_to_nothing(kind):
    assert unpack(compress(kind, b"")) == b""


def test_a_gzip_header_has_neither_time_nor_name():
    for level in (1, 6):
        assert compress("gzip", level=level)[3:8] == bytes(5)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "uncompressed"])
def test_what_the_target_raises_comes_out(kind):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    def work():
        writer = compressor(kind, Full())
        try:
            writer.write(NOISE * 5)
        finally:
            writer.close()

    with pytest.raises(OSError, match="No space left"):
        work()
