import os
import time

import pytest

from cache.content.local import LocalContentStore
from cache.database import Database
from cache.descriptor import EMPTY_CHAIN, chain_id, chain_ids
from cache.digest import sha256_digest
from cache.gc import Garbage, Policy, RecordUse, Roots, garbage, sweep
from cache.index.api import CacheKey, CacheRecord
from cache.index.sqlite import SqliteCacheIndex
from cache.leases import Leases
from cache.snapshot.overlay import OverlaySnapshotter
from cache.snapshot.rows import SnapshotRow
from cache.statedir import StateDir
from cache.usage import usage

NOW = 2_000_000_000
A, B, C, D = (sha256_digest(name.encode()) for name in "abcd")


def rows_of(*stacks):
    """A row for each snapshot of the stacks, of ten bytes each."""
    rows = {}
    for stack in stacks:
        chains = chain_ids(stack)
        for depth, chain in enumerate(chains):
            parent = chains[depth - 1] if depth else EMPTY_CHAIN
            rows[chain] = SnapshotRow(chain, parent, stack[depth], 10, len(rows), NOW, NOW)
    return list(rows.values())


def use(key, stack, last_used=NOW):
    return RecordUse(key, tuple(stack), last_used)


def went(found, *stacks):
    """Whether just the uppermost snapshots of these stacks go."""
    return found.chains == {chain_id(stack) for stack in stacks}


def test_what_nobody_names_goes():
    found = garbage(rows_of([A, B], [C]), [], Roots(), (), Policy())
    assert went(found, [A], [A, B], [C])


def test_an_image_keeps_its_whole_stack():
    found = garbage(rows_of([A, B], [A, C]), [], Roots(stacks=[(A, B)]), (), Policy())
    assert went(found, [A, C])


def test_a_lease_keeps_what_it_names_and_all_below():
    found = garbage(rows_of([A, B, C]), [], Roots(), [chain_id([A, B])], Policy())
    assert went(found, [A, B, C])


def test_a_lease_on_what_is_not_there_yet_is_fine():
    assert went(garbage(rows_of([A]), [], Roots(), [chain_id([A, B])], Policy()), [A])


def test_a_cache_record_keeps_its_result():
    found = garbage(rows_of([A, B], [C]), [use("k", [A, B])], Roots(), (), Policy())
    assert went(found, [C])
    assert found.records == frozenset()


def test_a_cache_record_without_its_result_goes():
    found = garbage(rows_of([A]), [use("k", [A, B])], Roots(), (), Policy())
    assert found == Garbage(frozenset({chain_id([A])}), frozenset({"k"}))


def test_records_unused_for_long_go_with_what_only_they_kept():
    records = [use("old", [A, B], NOW - 100), use("new", [A, C], NOW)]
    found = garbage(rows_of([A, B], [A, C]), records, Roots(), (), Policy(used_since=NOW - 50))
    assert went(found, [A, B])
    assert found.records == {"old"}


def test_records_go_longest_unused_first_until_the_rest_is_small_enough():
    records = [use(n, [d], NOW - age) for n, d, age in (("1", A, 30), ("2", B, 20), ("3", C, 10))]
    found = garbage(rows_of([A], [B], [C]), records, Roots(), (), Policy(keep_bytes=20))
    assert went(found, [A])
    assert found.records == {"1"}


def test_what_an_image_needs_anyway_does_not_count_against_the_cache():
    records = [use("1", [A], NOW), use("2", [B], NOW - 1)]
    roots = Roots(stacks=[(A,)])
    found = garbage(rows_of([A], [B]), records, roots, (), Policy(keep_bytes=10))
    assert found == Garbage(frozenset(), frozenset())


def test_records_of_what_is_needed_anyway_can_be_spared():
    records = [use("shared", [A], NOW - 100), use("own", [B], NOW - 100)]
    roots = Roots(stacks=[(A, C)])
    for policy in (Policy(keep_bytes=0, keep_shared=True), Policy(NOW, keep_shared=True)):
        found = garbage(rows_of([A, C], [B]), records, roots, (), policy)
        assert found == Garbage(frozenset({chain_id([B])}), frozenset({"own"}))
    assert garbage(rows_of([A, C]), records, roots, (), Policy(NOW)).records == {"shared", "own"}


def test_no_kept_bytes_means_no_cache():
    found = garbage(rows_of([A]), [use("k", [A])], Roots(), (), Policy(keep_bytes=0))
    assert found == Garbage(frozenset({chain_id([A])}), frozenset({"k"}))


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


@pytest.fixture
def database(state):
    database = Database(state)
    yield database
    database.close()


@pytest.fixture
def snapshots(state, database):
    return OverlaySnapshotter(state, database, userxattr=True)


@pytest.fixture
def leases(state, database):
    return Leases(state, database)


@pytest.fixture
def run_sweep(state, database, snapshots, leases):
    def run(roots=None, policy=None, now=NOW):
        return sweep(
            state,
            database,
            snapshots=snapshots,
            leases=leases,
            find_roots=lambda: roots or Roots(),
            policy=policy or Policy(),
            now=now,
        )

    return run


def commit(snapshots, *diff_ids):
    """Commits a stack; the snapshot on top."""
    parent, info = EMPTY_CHAIN, None
    for diff_id in diff_ids:
        info = snapshots.commit(snapshots.prepare(parent), diff_id=diff_id, size_bytes=10)
        parent = info.chain_id
    return info


def blob(state, content):
    with LocalContentStore(state).ingest() as writer:
        writer.write(content)
        digest, _ = writer.commit()
    return digest


def test_a_sweep_removes_trees_and_rows(run_sweep, state, database, snapshots):
    kept, gone = commit(snapshots, A, B), commit(snapshots, A, C)
    SqliteCacheIndex(database).record(
        [CacheRecord(CacheKey("gone"), "content", (A, D), "{}", created=NOW)]
    )
    swept = run_sweep(Roots(stacks=[(A, B)]))
    assert (swept.snapshots, swept.records, swept.freed_bytes) == (1, 1, 10)
    assert snapshots.info(kept.chain_id) == kept
    assert snapshots.info(gone.chain_id) is None
    assert not os.path.exists(gone.diff_dir)
    assert len(os.listdir(state.snapshots_dir)) == 2 + 1
    assert run_sweep(Roots(stacks=[(A, B)])).snapshots == 0


def test_a_tree_that_a_kept_stack_shares_is_not_counted_as_freed(run_sweep, snapshots):
    commit(snapshots, A, C)
    shared = commit(snapshots, B, C)
    assert run_sweep(Roots(stacks=[(A, C)])).freed_bytes == 10
    assert os.path.isdir(shared.diff_dir)


def test_a_sweep_spares_what_a_lease_holds(run_sweep, snapshots, leases):
    held = commit(snapshots, A, B)
    with leases.hold() as lease:
        lease.add("chain", held.chain_id)
        assert run_sweep().snapshots == 0
    assert run_sweep().snapshots == 2


def test_blobs_that_nothing_names_go_when_they_are_not_new(run_sweep, state, database, leases):
    names = ("config", "layer", "leased", "unnamed")
    digests = {name: blob(state, name.encode()) for name in names}
    with database.transaction() as connection:
        for diff_id, name in ((A, "layer"), (D, "unnamed")):
            connection.execute(
                "INSERT INTO layer_blobs VALUES (?, 'origin', 't', ?, 1)", (diff_id, digests[name])
            )
    with leases.hold() as lease:
        lease.add("blob", digests["leased"])
        roots = Roots(stacks=[(A,)], blobs=[digests["config"]])
        assert run_sweep(roots, now=int(time.time())).blobs == 0  # they are too young
        swept = run_sweep(roots)
    assert (swept.blobs, swept.freed_bytes) == (1, len("unnamed"))
    assert not os.path.exists(state.blob(digests["unnamed"]))
    assert len(os.listdir(state.blobs_dir)) == 3


def test_a_blob_that_comes_again_is_young_again(run_sweep, state):
    digest = blob(state, b"manifest")
    os.utime(state.blob(digest), (5, 5))
    time.sleep(1.1)
    since = int(time.time()) + 599
    blob(state, b"manifest")
    assert run_sweep(now=since).blobs == 0
    assert os.stat(state.blob(digest)).st_mtime == 5
    assert run_sweep(now=since + 10).blobs == 1


def test_usage_counts_shared_trees_once(state, database, snapshots):
    commit(snapshots, A, C)
    commit(snapshots, B, C)
    blob(state, b"12345")
    os.mkdir(state.cache_mount("pip"))
    found = usage(state, database)
    assert (found.snapshots, found.snapshots_bytes) == (3, 30)
    assert (found.blobs, found.blobs_bytes) == (1, 5)
    assert (found.cache_records, found.cache_mounts) == (0, 1)
    assert found.total_bytes == 35


def test_an_empty_store_uses_nothing(state, database):
    assert usage(state, database).total_bytes == 0
