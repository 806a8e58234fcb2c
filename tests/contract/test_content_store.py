"""What every ContentStore does."""

import io
import os

import pytest

from cache.content.local import LocalContentStore
from cache.digest import Digest, sha256_digest
from cache.errors import CorruptContentError, NotFoundError
from cache.statedir import StateDir

CONTENT = b"some bytes" * 1000
DIGEST = sha256_digest(CONTENT)
ABSENT = sha256_digest(b"absent")


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


@pytest.fixture(params=["local"])
def store(state):
    return LocalContentStore(state)


def ingest(store, content=CONTENT, expected=None):
    with store.ingest() as blob:
        blob.write(content[:10])
        blob.write(content[10:])
        return blob.commit(expected)


def read_in_pieces(file):
    pieces = []
    while piece := file.read(777):
        pieces.append(piece)
    return b"".join(pieces)


def test_what_was_ingested_can_be_read(store):
    assert ingest(store) == (DIGEST, len(CONTENT))
    assert store.read(DIGEST) == CONTENT
    assert store.size(DIGEST) == len(CONTENT)
    with store.open(DIGEST) as file:
        assert read_in_pieces(file) == CONTENT


def test_an_empty_blob_is_a_blob(store):
    digest, size = ingest(store, b"")
    assert size == 0
    assert store.read(digest) == b""


def test_a_blob_that_is_not_there_has_no_size_and_cannot_be_read(store):
    assert store.size(ABSENT) is None
    with pytest.raises(NotFoundError):
        store.open(ABSENT)
    with pytest.raises(NotFoundError):
        store.read(ABSENT)


def test_an_uncommitted_blob_is_dropped(store):
    with store.ingest() as blob:
        blob.write(CONTENT)
    assert store.size(DIGEST) is None


def test_a_blob_with_other_bytes_than_expected_is_refused(store):
    with pytest.raises(CorruptContentError):
        ingest(store, CONTENT, ABSENT)
    assert store.size(ABSENT) is None
    assert store.size(DIGEST) is None


def test_ingesting_twice_is_fine(store):
    ingest(store)
    assert ingest(store, CONTENT, DIGEST) == (DIGEST, len(CONTENT))
    assert store.read(DIGEST) == CONTENT


def test_a_source_of_the_right_digest_and_size_is_taken_in(store):
    store.ingest_from(io.BytesIO(CONTENT), DIGEST, len(CONTENT))
    assert store.read(DIGEST) == CONTENT


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_source_of_another_size_is_refused(store, size):
    with pytest.raises(CorruptContentError, match="bytes"):
        store.ingest_from(io.BytesIO(CONTENT), DIGEST, size)
    assert store.size(DIGEST) is None


def test_a_source_with_other_bytes_is_refused(store):
    with pytest.raises(CorruptContentError):
        store.ingest_from(io.BytesIO(CONTENT), ABSENT, len(CONTENT))
    assert store.size(ABSENT) is None


def test_a_deleted_blob_is_gone(store):
    ingest(store)
    assert store.delete(DIGEST)
    assert store.size(DIGEST) is None
    assert not store.delete(DIGEST)


def test_a_blob_that_is_larger_than_makes_sense_is_not_read(store):
    ingest(store)
    with pytest.raises(CorruptContentError):
        store.read(DIGEST, limit_bytes=len(CONTENT) - 1)
    assert store.read(DIGEST, limit_bytes=len(CONTENT)) == CONTENT


@pytest.fixture
def damaged(store, state):
    """A blob whose bytes are not what its name says any more."""
    ingest(store)
    with open(state.blob(DIGEST), "r+b") as file:
        file.seek(100)
        file.write(b"X")
    return DIGEST


def test_a_damaged_blob_is_never_read_to_its_end(store, damaged):
    with pytest.raises(CorruptContentError):
        store.read(damaged)
    with store.open(damaged) as file, pytest.raises(CorruptContentError):
        read_in_pieces(file)


def test_a_damaged_blob_is_found_out_by_readinto_too(store, damaged):
    buffer = bytearray(1 << 16)
    with store.open(damaged) as file:
        assert file.readinto(buffer)
        with pytest.raises(CorruptContentError):
            file.readinto(buffer)


def test_a_blob_cut_short_is_found_out(store, state):
    ingest(store)
    os.truncate(state.blob(DIGEST), 500)
    with pytest.raises(CorruptContentError):
        store.read(DIGEST)


def test_an_open_blob_does_not_seek(store):
    ingest(store)
    with store.open(DIGEST) as file:
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)


def test_nothing_is_left_aside(store, state):
    ingest(store)
    with store.ingest() as blob:
        blob.write(b"dropped")
    assert os.listdir(os.path.join(state.root_dir, "tmp", state.owner)) == ["lock"]


def test_a_blob_has_the_digest_as_its_name(store, state):
    ingest(store)
    assert os.listdir(state.blobs_dir) == [Digest(DIGEST).removeprefix("sha256:")]
