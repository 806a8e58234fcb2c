"""What every Snapshotter does, seen through the mounts that it hands out as data."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache.database import Database
from cache.descriptor import EMPTY_CHAIN, ChainId, chain_id
from cache.digest import sha256_digest
from cache.errors import NotFoundError, StoreError
from cache.snapshot.overlay import OverlaySnapshotter
from cache.statedir import StateDir

ABSENT = ChainId(sha256_digest(b"absent"))


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


@pytest.fixture(params=["overlay"])
def snapshots(state):
    database = Database(state)
    yield OverlaySnapshotter(state, database, userxattr=True)
    database.close()


def layer(snapshots, parent, name):
    """A committed snapshot that adds the file `name`; its diff_id is the name's digest."""
    active = snapshots.prepare(parent)
    with open(os.path.join(active.upperdir, name), "w") as file:
        file.write(name)
    return snapshots.commit(active, diff_id=sha256_digest(name.encode()), size_bytes=len(name))


def names(mount):
    """The names at the top of what the mount would show, less what whiteouts hide."""
    return sorted({name for directory in mount.lowerdirs for name in os.listdir(directory)})


def test_a_committed_snapshot_is_known_by_its_chain(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    top = layer(snapshots, base.chain_id, "top")
    assert base.chain_id == chain_id([base.diff_id])
    assert top.chain_id == chain_id([base.diff_id, top.diff_id])
    assert top.parent == base.chain_id
    assert top.size_bytes == 3
    assert top.written_at > 0
    assert snapshots.info(top.chain_id) == top
    assert os.listdir(top.diff_dir) == ["top"]


def test_what_is_not_there_is_not_known(snapshots):
    assert snapshots.info(ABSENT) is None
    for use in (snapshots.prepare, snapshots.view, snapshots.remove):
        with pytest.raises(NotFoundError):
            use(ABSENT)


def test_a_view_shows_the_whole_stack_uppermost_first(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    top = layer(snapshots, base.chain_id, "top")
    mount = snapshots.view(top.chain_id)
    assert mount.lowerdirs == (top.diff_dir, base.diff_dir)
    assert mount.upperdir is None


def test_a_view_of_the_empty_stack_is_an_empty_directory(snapshots):
    (directory,) = snapshots.view(EMPTY_CHAIN).lowerdirs
    assert os.listdir(directory) == []


def test_a_first_layer_is_written_straight_into_its_tree(snapshots):
    active = snapshots.prepare(EMPTY_CHAIN)
    assert active.mount.lowerdirs == ()
    assert active.mount.upperdir == active.upperdir
    assert os.listdir(active.upperdir) == []
    assert os.stat(active.upperdir).st_mode & 0o7777 == 0o755


def test_a_prepared_snapshot_lies_over_its_parent(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    active = snapshots.prepare(base.chain_id)
    assert active.parent == base.chain_id
    assert active.mount.lowerdirs == (base.diff_dir,)
    assert os.listdir(active.mount.workdir) == []


def test_the_root_directory_keeps_its_metadata_from_layer_to_layer(snapshots):
    active = snapshots.prepare(EMPTY_CHAIN)
    os.chmod(active.upperdir, 0o1711)
    os.setxattr(active.upperdir, "user.note", b"kept")
    os.utime(active.upperdir, ns=(5, 10**18))
    base = snapshots.commit(active, diff_id=sha256_digest(b"x"), size_bytes=1)
    upperdir = snapshots.prepare(base.chain_id).upperdir
    status = os.stat(upperdir)
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o1711, 10**18)
    assert os.getxattr(upperdir, "user.note") == b"kept"


def test_a_discarded_snapshot_leaves_nothing(snapshots):
    active = snapshots.prepare(EMPTY_CHAIN)
    snapshots.discard(active)
    snapshots.discard(active)
    assert not os.path.exists(active.directory)


def test_committing_what_is_there_already_keeps_the_earlier_one(snapshots):
    first = layer(snapshots, EMPTY_CHAIN, "a")
    second = layer(snapshots, EMPTY_CHAIN, "a")
    assert second == first


def test_nothing_is_left_aside_after_a_commit(snapshots, state):
    layer(snapshots, EMPTY_CHAIN, "a")
    layer(snapshots, EMPTY_CHAIN, "a")
    assert os.listdir(os.path.join(state.root_dir, "tmp", state.owner)) == ["lock"]


def test_one_layer_over_two_parents_is_one_tree_on_disk(snapshots):
    one, two = layer(snapshots, EMPTY_CHAIN, "1"), layer(snapshots, EMPTY_CHAIN, "2")
    over_one = layer(snapshots, one.chain_id, "x")
    over_two = layer(snapshots, two.chain_id, "x")
    assert over_one.chain_id != over_two.chain_id
    assert over_one.diff_dir == over_two.diff_dir


def test_a_known_layer_is_stacked_without_writing_it(snapshots):
    one, two = layer(snapshots, EMPTY_CHAIN, "1"), layer(snapshots, EMPTY_CHAIN, "2")
    over_one = layer(snapshots, one.chain_id, "x")
    stacked = snapshots.stack(two.chain_id, over_one.diff_id)
    assert stacked.chain_id == chain_id([two.diff_id, over_one.diff_id])
    assert stacked.diff_dir == over_one.diff_dir
    assert stacked.size_bytes == over_one.size_bytes
    assert names(snapshots.view(stacked.chain_id)) == ["2", "x"]
    assert snapshots.stack(two.chain_id, over_one.diff_id) == stacked


def test_an_unknown_layer_cannot_be_stacked(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    assert snapshots.stack(base.chain_id, sha256_digest(b"unknown")) is None


def test_nothing_is_stacked_on_what_is_not_there(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    with pytest.raises(NotFoundError):
        snapshots.stack(ABSENT, base.diff_id)


def test_a_removed_snapshot_is_gone_with_its_tree(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    snapshots.remove(base.chain_id)
    assert snapshots.info(base.chain_id) is None
    assert not os.path.exists(base.diff_dir)
    assert layer(snapshots, EMPTY_CHAIN, "base").diff_dir != base.diff_dir


def test_a_snapshot_below_another_is_not_removed(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    top = layer(snapshots, base.chain_id, "top")
    with pytest.raises(StoreError):
        snapshots.remove(base.chain_id)
    snapshots.remove(top.chain_id)
    snapshots.remove(base.chain_id)


def test_a_shared_tree_stays_until_the_last_snapshot_of_it_goes(snapshots):
    one, two = layer(snapshots, EMPTY_CHAIN, "1"), layer(snapshots, EMPTY_CHAIN, "2")
    over_one, over_two = layer(snapshots, one.chain_id, "x"), layer(snapshots, two.chain_id, "x")
    snapshots.remove(over_one.chain_id)
    assert os.listdir(over_two.diff_dir) == ["x"]
    snapshots.remove(over_two.chain_id)
    assert not os.path.exists(over_two.diff_dir)


def test_threads_that_commit_the_same_get_the_same(snapshots):
    barrier = threading.Barrier(6)

    def work(_):
        active = snapshots.prepare(EMPTY_CHAIN)
        barrier.wait()
        return snapshots.commit(active, diff_id=sha256_digest(b"same"), size_bytes=1)

    with ThreadPoolExecutor(6) as pool:
        infos = list(pool.map(work, range(6)))
    assert len(set(infos)) == 1
    assert os.listdir(infos[0].diff_dir) == []


def test_a_commit_over_a_parent_that_went_meanwhile_fails(snapshots):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    active = snapshots.prepare(base.chain_id)
    snapshots.remove(base.chain_id)
    with pytest.raises(NotFoundError):
        snapshots.commit(active, diff_id=sha256_digest(b"x"), size_bytes=1)
