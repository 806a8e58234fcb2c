import os
import time
from types import SimpleNamespace

import pytest

from cache.database import Database
from cache.filehash import FileDigests, digest_of_bytes, digest_of_file
from cache.statedir import StateDir

LONG_AGO_NS = 1_600_000_000 * 10**9


@pytest.fixture
def digests(tmp_path):
    database = Database(StateDir(str(tmp_path / "store")))
    yield FileDigests(database)
    database.close()


@pytest.fixture
def make_file(tmp_path):
    def make(name, content=b"content"):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        return path

    return make


def known(digests, *paths):
    return digests.known([os.lstat(path) for path in paths])


def remember(digests, path, digest):
    digests.remember([(os.lstat(path), digest)], looked_at_ns=time.time_ns())


def test_a_file_that_nobody_hashed_is_unknown(digests, make_file):
    assert known(digests, make_file("a")) == [None]


def test_an_unchanged_file_is_known(digests, make_file):
    a, b = make_file("a"), make_file("b")
    remember(digests, b, digest_of_bytes(b"content"))
    assert known(digests, a, b, a) == [None, digest_of_bytes(b"content"), None]


@pytest.mark.parametrize("change", ["size", "mtime", "ctime", "inode"])
def test_a_file_of_which_stat_says_anything_else_is_unknown(digests, make_file, change):
    path = make_file("a")
    other = make_file("other")
    remember(digests, path, digest_of_bytes(b"content"))
    match change:
        case "size":
            path.write_bytes(b"longer content")
            os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        case "mtime":
            os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
        case "ctime":
            time.sleep(0.02)
            path.chmod(0o600)
        case "inode":
            os.replace(other, path)
    assert known(digests, path) == [None]


def test_a_later_digest_replaces_an_earlier_one(digests, make_file):
    path = make_file("a")
    remember(digests, path, digest_of_bytes(b"old"))
    path.write_bytes(b"newer")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    remember(digests, path, digest_of_bytes(b"newer"))
    assert known(digests, path) == [digest_of_bytes(b"newer")]


@pytest.mark.parametrize(("age_s", "is_kept"), [(0, False), (1.9, False), (2.1, True), (-60, True)])
def test_a_file_written_within_two_seconds_of_the_look_is_hashed_again(
    digests, make_file, age_s, is_kept
):
    path = make_file("a")
    looked_at_ns = os.lstat(path).st_mtime_ns + int(age_s * 10**9)
    digest = digest_of_bytes(b"content")
    digests.remember([(os.lstat(path), digest)], looked_at_ns=looked_at_ns)
    assert known(digests, path) == [digest if is_kept else None]


def test_an_inode_that_no_table_can_hold_is_left_out(digests, make_file):
    status = os.lstat(make_file("a"))
    names = ("st_dev", "st_size", "st_mtime_ns", "st_ctime_ns")
    huge = SimpleNamespace(st_ino=(1 << 63) + 5, **{name: getattr(status, name) for name in names})
    digests.remember([(huge, digest_of_bytes(b"x"))], looked_at_ns=time.time_ns())
    assert digests.known([huge]) == [None]


def test_forgetting_all_forgets_all(digests, make_file):
    path = make_file("a")
    remember(digests, path, digest_of_bytes(b"content"))
    digests.forget_all()
    assert known(digests, path) == [None]


@pytest.mark.parametrize("size", [0, 1, 511 << 10, 512 << 10, (1 << 20) - 1, 1 << 20, 3 << 20])
def test_a_file_has_the_digest_of_its_bytes_whatever_its_size(make_file, size):
    content = os.urandom(size)
    file = os.open(make_file("a", content), os.O_RDONLY)
    try:
        assert digest_of_file(file) == digest_of_bytes(content)
    finally:
        os.close(file)


def test_different_contents_have_different_digests():
    assert digest_of_bytes(b"a") != digest_of_bytes(b"b")
    assert len(digest_of_bytes(b"")) == 16
