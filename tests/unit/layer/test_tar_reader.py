import io
import os
import subprocess
import tarfile

import pytest

from builder.layer.errors import BadArchiveError
from builder.layer.tarheader import END_OF_ARCHIVE, FILE, Metadata, header, padded
from builder.layer.tarreader import is_archive, read_members

PLAIN = Metadata(mode=0o644, uid=0, gid=0, mtime=0)


def read_all(archive):
    """Names and contents of an archive's members."""
    return {member.name: member.data.read() for member in read_members(io.BytesIO(archive))}


def by_tarfile(members, archive_format=tarfile.PAX_FORMAT, **options):
    """An archive of TarInfos and their contents, made by Python's tarfile."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=archive_format, **options) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def info_of(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


class Trickle:
    """A source that gives a few bytes at a time."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, size=-1, /):
        return self._file.read(7 if size < 0 else min(size, 7))


FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize("archive_format", FORMATS)
def test_members_of_every_format_are_read(archive_format):
    archive = by_tarfile(
        [
            (info_of("d", type=tarfile.DIRTYPE, mode=0o1777), b""),
            (info_of("d/f", mode=0o4711, uid=3, gid=4, mtime=5), b"content" * 100),
            (info_of("l", type=tarfile.SYMTYPE, linkname="d/f"), b""),
            (info_of("h", type=tarfile.LNKTYPE, linkname="d/f"), b""),
            (info_of("c", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
            (info_of("b", type=tarfile.BLKTYPE, devmajor=8, devminor=1), b""),
            (info_of("p", type=tarfile.FIFOTYPE), b""),
        ],
        archive_format,
    )
    members = {member.name.rstrip("/"): member for member in read_members(io.BytesIO(archive))}
    kinds = ("directory", "file", "symlink", "hardlink", "character", "block", "fifo")
    assert tuple(member.kind for member in members.values()) == kinds
    file = members["d/f"]
    assert (file.mode, file.uid, file.gid, file.mtime_ns) == (0o4711, 3, 4, 5 * 10**9)
    assert file.size_bytes == 700
    assert members["d"].mode == 0o1777
    assert members["l"].link_name == members["h"].link_name == "d/f"
    assert (members["c"].device, members["b"].device) == ((1, 3), (8, 1))


@pytest.mark.parametrize("archive_format", FORMATS[1:])
def test_long_and_foreign_names_are_read(archive_format):
    name, target = "näme/" * 80 + "x", "tärget" * 50
    archive = by_tarfile(
        [(info_of(name, type=tarfile.SYMTYPE, linkname=target), b"")], archive_format
    )
    (member,) = read_members(io.BytesIO(archive))
    assert (member.name, member.link_name) == (name, target)


@pytest.mark.parametrize("archive_format", FORMATS[1:])
def test_large_numbers_and_negative_times_are_read(archive_format):
    info = info_of("f", uid=(1 << 31) + 5, gid=1 << 25, mtime=-3)
    (member,) = read_members(io.BytesIO(by_tarfile([(info, b"")], archive_format)))
    assert (member.uid, member.gid, member.mtime_ns) == ((1 << 31) + 5, 1 << 25, -3 * 10**9)


def test_the_old_form_marks_directories_by_their_name():
    archive = bytearray(by_tarfile([(info_of("d/"), b"")], tarfile.USTAR_FORMAT))
    archive[156:157] = b"\0"
    archive[257:512] = bytes(255)
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    (member,) = read_members(io.BytesIO(archive))
    assert (member.name, member.kind) == ("d/", "directory")


def test_times_and_xattrs_come_from_pax_records():
    records = {"mtime": "12.000000345", "SCHILY.xattr.user.a": "b"}
    (member,) = read_members(io.BytesIO(by_tarfile([(info_of("f", pax_headers=records), b"")])))
    assert member.mtime_ns == 12 * 10**9 + 345
    assert member.xattrs == ((b"user.a", b"b"),)


def test_global_pax_records_hold_until_a_member_has_its_own():
    own = info_of("two", pax_headers={"mtime": "9"})
    archive = by_tarfile([(info_of("one"), b""), (own, b"")], pax_headers={"mtime": "7"})
    times = {member.name: member.mtime_ns for member in read_members(io.BytesIO(archive))}
    assert times == {"one": 7 * 10**9, "two": 9 * 10**9}


def test_contents_come_out_whole_however_little_a_source_gives_at_once():
    contents = {f"f{size}": os.urandom(size) for size in (0, 1, 511, 512, 513, 5000)}
    archive = by_tarfile([(info_of(name), content) for name, content in contents.items()])
    found = {}
    for member in read_members(Trickle(archive)):
        pieces = []
        while piece := member.data.read(1000):
            pieces.append(piece)
        found[member.name] = b"".join(pieces)
    assert found == contents


def test_contents_that_nobody_reads_are_passed_over():
    archive = by_tarfile([(info_of("big"), bytes(3 << 20)), (info_of("small"), b"x")])
    members = read_members(io.BytesIO(archive))
    assert [member.name for member in members] == ["big", "small"]


def test_the_source_is_read_to_its_end():
    source = io.BytesIO(by_tarfile([(info_of("f"), b"x")]) + b"behind" * 10_000)
    assert len(list(read_members(source))) == 1
    assert source.read() == b""


def test_what_the_source_raises_passes():
    class Broken:
        def read(self, size=-1, /):
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        list(read_members(Broken()))


def test_an_empty_source_has_no_members():
    assert list(read_members(io.BytesIO(b""))) == []
    assert list(read_members(io.BytesIO(END_OF_ARCHIVE))) == []


def test_an_archive_that_ends_after_a_member_is_taken():
    archive = header(FILE, b"f", PLAIN, size_bytes=3) + padded(b"abc")
    assert read_all(archive) == {"f": b"abc"}


@pytest.mark.parametrize("cut", [1, 100, 511, 513, 700, 1023])
def test_an_archive_that_is_cut_within_a_member_is_refused(cut):
    archive = header(FILE, b"f", PLAIN, size_bytes=600) + padded(bytes(600))
    with pytest.raises(BadArchiveError):
        read_all(archive[:cut])


def test_an_archive_that_is_cut_after_a_pax_header_is_refused():
    long = header(FILE, b"x" * 300, PLAIN)
    with pytest.raises(BadArchiveError):
        read_all(long[:-512])


def test_a_wrong_checksum_is_refused():
    archive = bytearray(header(FILE, b"f", PLAIN))
    archive[0] ^= 1
    with pytest.raises(BadArchiveError):
        read_all(bytes(archive))


def with_field(start, content):
    """A file's header with something else in a field, and the right checksum."""
    block = bytearray(header(FILE, b"f", PLAIN))
    block[start : start + len(content)] = content
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("start", "content"),
    [
        (124, b"\xff" * 12),  # size -1
        (124, b"\x80" + b"\x7f" * 11),  # a size that no file has
        (124, b"99999999999\0"),  # no octal number
        (108, b"\xff" * 8),  # owner -1
        (108, b"\x80\0\0\0\xff\xff\xff\xff"),  # the id that means none
        (156, b"V"),  # a volume's label
        (156, b"?"),
        (0, b"\0"),  # no name
    ],
)
def test_impossible_headers_are_refused(start, content):
    with pytest.raises(BadArchiveError):
        read_all(with_field(start, content) + bytes(1024))


def test_a_pax_header_of_absurd_size_is_refused_before_it_is_read():
    archive = header(b"x", b"p", PLAIN, size_bytes=(8 << 30) - 1)
    with pytest.raises(BadArchiveError, match="impossible size"):
        read_all(archive)


def test_endless_extension_headers_are_refused():
    one = header(b"L", b"p", PLAIN, size_bytes=1000) + padded(bytes(1000))
    with pytest.raises(BadArchiveError, match="impossible size"):
        read_all(one * 2000)


@pytest.mark.parametrize("name", [b"a\0b", b"x" * 4096])
def test_names_that_no_kernel_takes_are_refused(name):
    content = b"%d path=%b\n" % (len(name) + 10, name)
    if len(name) > 100:
        content = b"%d path=%b\n" % (len(name) + 11, name)
    archive = header(b"x", b"p", PLAIN, size_bytes=len(content)) + padded(content)
    with pytest.raises(BadArchiveError):
        read_all(archive + header(FILE, b"f", PLAIN))


def test_a_times_far_out_of_range_is_the_nearest_there_is():
    for text, expected in (("-99999999999999", -(1 << 31)), ("99999999999999", 1 << 33)):
        archive = by_tarfile([(info_of("f", pax_headers={"mtime": text}), b"")])
        (member,) = read_members(io.BytesIO(archive))
        assert member.mtime_ns == expected * 10**9


def test_a_size_on_a_link_means_no_data():
    link = bytearray(header(b"1", b"l", PLAIN, link_name=b"f"))
    link[124:136] = b"00000001000\0"
    link[148:156] = b" " * 8
    link[148:156] = b"%06o\0 " % sum(link)
    archive = bytes(link) + header(FILE, b"f", PLAIN)
    assert [m.name for m in read_members(io.BytesIO(archive))] == ["l", "f"]


@pytest.fixture
def sparse_file(tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        for offset in (5 << 12, 900 << 12, 3000 << 12):
            file.seek(offset)
            file.write(os.urandom(4096))
        file.truncate(4000 << 12)
    return path


@pytest.mark.parametrize("options", [
    ["--format=gnu"], ["--format=pax", "--sparse-version=0.0"],
    ["--format=pax", "--sparse-version=0.1"], ["--format=pax", "--sparse-version=1.0"],
])  # fmt: skip
def test_sparse_files_of_every_kind_have_their_holes_back(sparse_file, tmp_path, options):
    archive = tmp_path / "t.tar"
    command = ["tar", "-C", tmp_path, "-cSf", archive, *options, "sparse"]
    subprocess.run(command, check=True)
    assert archive.stat().st_size < 1 << 20
    assert read_all(archive.read_bytes()) == {"sparse": sparse_file.read_bytes()}
    with open(archive, "rb") as source, open(tmp_path / "out", "wb") as target:
        (member,) = read_members_to(source, target)
    assert member.size_bytes == 4000 << 12
    assert (tmp_path / "out").read_bytes() == sparse_file.read_bytes()
    assert (tmp_path / "out").stat().st_blocks * 512 < 1 << 20


def read_members_to(source, target):
    found = []
    for member in read_members(source):
        member.data.copy_to(target.fileno())
        found.append(member)
    return found


def test_a_sparse_file_of_very_many_parts_is_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        for part in range(150):
            file.seek(part << 16)
            file.write(b"data")
    for form in ("gnu", "pax"):
        command = ["tar", "-C", tmp_path, "-cSf", tmp_path / "t", f"--format={form}", "sparse"]
        subprocess.run(command, check=True)
        found = read_all((tmp_path / "t").read_bytes())
        assert found == {"sparse": (tmp_path / "sparse").read_bytes()}


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "2", "GNU.sparse.minor": "0"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,4,2,4"},  # overlaps
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,20"},  # beyond the end
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,-4"},
        {"GNU.sparse.size": "x", "GNU.sparse.map": "0,4"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,5"},  # more than the member has
    ],
)
def test_damaged_sparse_maps_are_refused(records):
    archive = by_tarfile([(info_of("f", pax_headers=records), b"data")])
    with pytest.raises(BadArchiveError):
        read_all(archive)


def test_an_archive_is_told_from_other_files():
    assert is_archive(io.BytesIO(by_tarfile([(info_of("f"), b"")])))
    for other in (b"", b"text", b"text" * 1000, END_OF_ARCHIVE):
        assert not is_archive(io.BytesIO(other))
