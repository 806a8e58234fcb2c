import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.layer import tarheader
from builder.layer.errors import BadArchiveError
from builder.layer.tarheader import (
    DIRECTORY,
    END_OF_ARCHIVE,
    FILE,
    SYMLINK,
    Metadata,
    header,
    parse_number,
    parse_pax,
)

PLAIN = Metadata(mode=0o644, uid=1, gid=2, mtime=1_700_000_000)

names = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and not name.startswith(b"/") and not name.endswith(b"/")
)


def second_opinion(archive):
    """What Python's tarfile makes of one member."""
    with tarfile.open(fileobj=io.BytesIO(archive + END_OF_ARCHIVE)) as file:
        (member,) = file.getmembers()
    return member


def raw(text):
    return text.encode("utf-8", "surrogateescape")


def test_a_plain_member_takes_one_block():
    assert len(header(FILE, b"usr/bin/tool", PLAIN)) == 512


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 200, 255, 256, 257, 1000])
def test_names_of_any_length_are_read_back(length):
    name = b"directory/" * (length // 10) + b"x" * (length % 10)
    assert raw(second_opinion(header(FILE, name.rstrip(b"/"), PLAIN)).name) == name.rstrip(b"/")


def test_a_long_name_that_ustar_can_split_needs_no_pax_header():
    assert len(header(FILE, b"d" * 150 + b"/" + b"f" * 100, PLAIN)) == 512
    assert len(header(FILE, b"d" * 156 + b"/" + b"f" * 100, PLAIN)) > 512
    assert len(header(FILE, b"f" * 101, PLAIN)) > 512


@given(names)
def test_any_name_is_read_back(name):
    assert raw(second_opinion(header(FILE, name, PLAIN)).name) == name


@given(names)
def test_any_link_target_is_read_back(target):
    assert raw(second_opinion(header(SYMLINK, b"l", PLAIN, link_name=target)).linkname) == target


@given(
    st.integers(0, 0o7777),
    st.integers(0, (1 << 32) - 2),
    st.integers(0, (1 << 32) - 2),
    st.integers(-(1 << 40), 1 << 40),
)
def test_any_mode_owner_and_time_is_read_back(mode, uid, gid, mtime):
    member = second_opinion(header(DIRECTORY, b"d/", Metadata(mode, uid, gid, mtime)))
    assert (member.mode, member.uid, member.gid, member.mtime) == (mode, uid, gid, mtime)
    assert (member.uname, member.gname) == ("", "")


@pytest.mark.parametrize("size", [0, (8 << 30) - 1, 8 << 30, 1 << 50])
def test_any_size_is_written(size):
    block = header(FILE, b"f", PLAIN, size_bytes=size)
    assert tarfile.TarInfo.frombuf(block[-512:], "utf-8", "strict").size == (
        size if size < 8 << 30 else 0
    )
    assert (b"size=%d\n" % size in block) == (size >= 8 << 30)


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=30).filter(lambda k: b"\0" not in k),
        st.binary(max_size=300),
        max_size=4,
    )
)
def test_any_xattr_is_read_back(xattrs):
    found = sorted(xattrs.items())
    block = header(FILE, b"f", Metadata(0, 0, 0, 0, tuple(found)))
    content = block[512:-512] if xattrs else b""
    prefix = len(tarheader.XATTR_PREFIX)
    size = parse_number(block[124:136])
    records = parse_pax(content[:size])
    assert sorted((tarheader.unescape_xattr(k[prefix:]), v) for k, v in records) == found


def test_gnu_tar_reads_the_same_xattr_names(tmp_path):
    xattrs = ((b"user.a=b", b"1"), (b"user.a%3Db", b"2"))
    archive = header(FILE, b"f", Metadata(0o644, 0, 0, 0, xattrs)) + END_OF_ARCHIVE
    (tmp_path / "t.tar").write_bytes(archive)
    listing = subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=*", "-tvvf", tmp_path / "t.tar"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "1 user.a=b" in listing
    assert "1 user.a%3Db" in listing


def test_a_record_counts_its_own_length():
    for length in range(80, 120):
        block = header(SYMLINK, b"l", PLAIN, link_name=b"x" * length)
        assert second_opinion(block).linkname == "x" * length


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"644\0junk", 0o644),
        (b"\0\0\0\0", 0),
        (b"\x80" + bytes(9) + b"\x01\x00", 256),
        (b"\xff" * 12, -1),
    ],
)
def test_numbers_of_every_form_are_read(field, number):
    assert parse_number(field) == number


@pytest.mark.parametrize("field", [b"8", b"-1", b"0o17", b"1_7", b"12x", b"+5"])
def test_what_is_no_number_is_refused(field):
    with pytest.raises(BadArchiveError):
        parse_number(field)


@pytest.mark.parametrize(
    "content",
    [b"x", b"5 a=b", b"99 a=b\n", b"3 a\n", b"-6 a=b\n", b"7 a=b\n", b"0 a=b\n", b"6 ab\n\n"],
)
def test_damaged_pax_headers_are_refused(content):
    with pytest.raises(BadArchiveError):
        parse_pax(content)
