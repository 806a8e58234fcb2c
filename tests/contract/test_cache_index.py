"""What every CacheIndex does."""

from dataclasses import replace

import pytest

from cache.database import Database
from cache.digest import sha256_digest
from cache.errors import PybuildError
from cache.index.api import CacheKey, CacheRecord
from cache.index.sqlite import SqliteCacheIndex
from cache.statedir import StateDir

RECORD = CacheRecord(
    key=CacheKey("k"),
    kind="definition",
    diff_ids=(sha256_digest(b"1"), sha256_digest(b"2")),
    ingredients='{"step": "RUN true"}',
    created=1_700_000_000,
)


@pytest.fixture
def database(tmp_path):
    database = Database(StateDir(str(tmp_path / "store")))
    yield database
    database.close()


@pytest.fixture(params=["sqlite"])
def index(database):
    return SqliteCacheIndex(database)


def test_a_record_comes_back_as_it_was(index):
    index.record([RECORD])
    assert index.lookup(RECORD.key) == RECORD


def test_a_record_of_no_layers_comes_back_too(index):
    record = replace(RECORD, diff_ids=(), kind="content")
    index.record([record])
    assert index.lookup(RECORD.key) == record


def test_an_unknown_key_has_no_record(index):
    assert index.lookup(CacheKey("unknown")) is None
    assert index.lookup_many([]) == {}


def test_many_are_looked_up_at_once(index):
    records = [replace(RECORD, key=CacheKey(f"k{n}")) for n in range(2500)]
    index.record(records)
    keys = [record.key for record in records]
    assert index.lookup_many([*keys, CacheKey("unknown")]) == {r.key: r for r in records}


def test_a_later_record_replaces_an_earlier_one(index):
    later = replace(RECORD, diff_ids=(sha256_digest(b"3"),))
    index.record([RECORD])
    index.record([later])
    assert index.lookup(RECORD.key) == later


def test_a_forgotten_key_has_no_record(index):
    index.record([RECORD])
    index.forget(RECORD.key)
    index.forget(CacheKey("never there"))
    assert index.lookup(RECORD.key) is None


def test_records_are_kept_all_or_none(index):
    with pytest.raises(PybuildError):
        index.record([RECORD, replace(RECORD, key=CacheKey("other"), kind=None)])
    assert index.lookup(RECORD.key) is None


def test_using_a_record_is_noted(index, database):
    index.record([RECORD])
    with database.transaction() as connection:
        connection.execute("UPDATE cache_records SET last_used = 1")
    index.lookup(RECORD.key)
    row = database.connection().execute("SELECT last_used FROM cache_records").fetchone()
    assert row[0] > 1_000_000
