from __future__ import annotations

import fcntl
import os
import threading

import pytest

from cache.database import Database
from cache.keepsakes import forget_stale_copies, keepsakes, remove_keepsake
from cache.snapshot.overlay import OverlaySnapshotter
from cache.statedir import StateDir, remove_tree
from cache.treesize import tree_bytes


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


def fill(directory: str, size_bytes: int) -> None:
    os.makedirs(directory)
    with open(os.path.join(directory, "body"), "wb") as file:
        file.write(b"x" * size_bytes)


def test_cache_mounts_and_downloads_are_told_with_their_sizes(state):
    fill(state.cache_mount("pip"), 10)
    fill(state.download("http://a/b"), 7)
    assert [(one.kind, one.size_bytes, one.is_used) for one in keepsakes(state)] == [
        ("exec.cachemount", 10, False),
        ("source.download", 7, False),
    ]


def test_an_empty_store_has_none(state):
    assert keepsakes(state) == ()


def test_what_nobody_uses_can_be_removed(state):
    fill(state.cache_mount("pip"), 10)
    fill(state.download("http://a/b"), 7)
    assert all(remove_keepsake(state, one) for one in keepsakes(state))
    assert keepsakes(state) == ()
    assert os.listdir(state.downloads_dir) == []
    assert [name[64:] for name in os.listdir(state.cache_mounts_dir)] == [".lock"]
    assert os.listdir(os.path.join(state.root_dir, "locks")) == []


def test_a_download_in_use_stays(state):
    fill(state.download("http://a/b"), 7)
    with state.download_lock("http://a/b"):
        (found,) = keepsakes(state)
        assert found.is_used
        assert not remove_keepsake(state, found)
    assert remove_keepsake(state, found)
    assert not remove_keepsake(state, found)


def test_a_download_waits_until_its_removal_is_over(state):
    """And then begins anew, not in a directory that is on its way out."""
    fill(state.download("u"), 1)
    entered = threading.Event()
    with state.download_lock("u"):
        waiting = threading.Thread(target=lambda: _lock_and_set(state, entered))
        waiting.start()
        assert not entered.wait(0.05)
    waiting.join(5)
    assert entered.is_set()


def _lock_and_set(state: StateDir, entered: threading.Event) -> None:
    with state.download_lock("u"):
        entered.set()


@pytest.mark.parametrize("name", ["", ".abcdef", "-1"])
def test_a_cache_mount_in_use_or_being_filled_stays(state, name):
    directory = state.cache_mount("pip") + name
    fill(directory, 10)
    lock = (directory if name == "-1" else state.cache_mount("pip")) + ".lock"
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        (found,) = keepsakes(state)
        assert found.is_used
        assert not remove_keepsake(state, found)
    assert remove_keepsake(state, found)


def test_lists_of_copies_go_with_their_snapshots(state):
    database = Database(state)
    snapshots = OverlaySnapshotter(state, database, userxattr=True)
    info = snapshots.commit(snapshots.prepare(""), diff_id="sha256:" + "1" * 64, size_bytes=1)
    os.mkdir(state.copies_dir)
    for step, chain in (("a", info.chain_id), ("b", "sha256:gone"), ("c", "\0")):
        with open(state.last_copy(step), "w", encoding="ascii") as file:
            file.write(chain)
    forget_stale_copies(state, database)
    assert os.listdir(state.copies_dir) == [os.path.basename(state.last_copy("a"))]
    database.close()


def test_the_size_of_a_tree_counts_each_inode_once(tmp_path):
    fill(str(tmp_path / "a" / "b"), 100)
    fill(str(tmp_path / "a" / "c"), 11)
    os.link(tmp_path / "a" / "b" / "body", tmp_path / "a" / "linked")
    os.symlink("/", tmp_path / "a" / "root")
    os.mkfifo(tmp_path / "a" / "fifo")
    assert tree_bytes(str(tmp_path / "a")) == 111
    assert tree_bytes(str(tmp_path / "missing")) == 0


def test_a_tree_deeper_than_any_path_is_measured(tmp_path):
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(2000):
            os.mkdir("d" * 8)
            os.chdir("d" * 8)
        with open("body", "wb") as file:
            file.write(b"12345")
    finally:
        os.chdir(before)
    try:
        assert tree_bytes(str(tmp_path)) == 5
    finally:
        remove_tree(str(tmp_path / ("d" * 8)))
