import fcntl
import os
import stat
import subprocess
import sys
import threading

import pytest

from cache.errors import StoreError
from cache.statedir import StateDir, remove_tree, write_atomically


@pytest.fixture
def root_dir(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def state(root_dir):
    state = StateDir(root_dir)
    yield state
    state.close()


def in_another_process(root_dir, code, **kwargs):
    """A process that has the store open as `state` and runs `code`."""
    program = f"from cache.statedir import StateDir\nstate = StateDir({root_dir!r})\n{code}"
    return subprocess.Popen([sys.executable, "-c", program], text=True, **kwargs)


def test_a_new_store_is_for_its_owner_alone(state):
    assert stat.S_IMODE(os.stat(state.root_dir).st_mode) == 0o700


def test_the_empty_directory_is_there_and_empty(state):
    assert os.listdir(state.empty_dir) == []


def test_a_store_can_be_opened_again(state, root_dir):
    write_atomically(os.path.join(state.blobs_dir, "x"), b"kept")
    again = StateDir(root_dir)
    assert os.listdir(again.blobs_dir) == ["x"]


def test_a_store_of_another_format_is_refused(root_dir, state):
    write_atomically(os.path.join(root_dir, "version"), b"99\n")
    with pytest.raises(StoreError, match="99"):
        StateDir(root_dir)


def test_a_store_that_cannot_be_made_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        StateDir(str(tmp_path / "file" / "store"))
    assert "PYBUILD_ROOT" in caught.value.hint


def test_scratch_directories_are_distinct_and_gone_after_close(state):
    one, two = state.scratch("a"), state.scratch("a")
    assert one != two
    state.close()
    assert not os.path.exists(one)
    assert os.listdir(os.path.join(state.root_dir, "tmp")) == []


def test_what_a_killed_process_left_is_swept(state, root_dir):
    code = "import os, time\nprint(state.scratch('x'), flush=True)\ntime.sleep(60)"
    other = in_another_process(root_dir, code, stdout=subprocess.PIPE)
    left = other.stdout.readline().strip()
    assert not state.sweep()
    assert os.path.isdir(left)
    other.kill()
    other.communicate()
    assert state.sweep()
    assert os.listdir(os.path.join(root_dir, "tmp")) == []
    assert not state.sweep()


def test_what_this_user_may_not_remove_is_left_to_others(state, root_dir, monkeypatch):
    os.makedirs(os.path.join(root_dir, "tmp", "1-dead", "snapshot"))
    open(os.path.join(root_dir, "tmp", "1-dead", "lock"), "w").close()

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", denied)
        assert state.sweep()
    os.utime(os.path.join(root_dir, "tmp", "1-dead"), (1, 1))
    assert state.sweep()
    assert os.listdir(os.path.join(root_dir, "tmp")) == []


def test_a_living_process_is_known_by_its_name(state, root_dir):
    code = "print(state.owner, flush=True)\nimport time\ntime.sleep(60)"
    other = in_another_process(root_dir, code, stdout=subprocess.PIPE)
    owner = other.stdout.readline().strip()
    assert state.is_alive(owner)
    assert state.is_alive(state.owner)
    other.kill()
    other.communicate()
    assert not state.is_alive(owner)
    assert not state.is_alive("1-never")


def test_sweeping_spares_an_owner_that_is_just_being_made(state, root_dir):
    young = os.path.join(root_dir, "tmp", "1-young")
    os.mkdir(young)
    assert not state.sweep()
    os.utime(young, (1, 1))
    assert state.sweep()
    assert not os.path.exists(young)


def test_an_owner_swept_while_it_waits_for_its_lock_gets_another_directory(state, monkeypatch):
    taken = []
    real_flock = fcntl.flock

    def flock_after_a_sweeper(fd, operation):
        if not taken:
            taken.append(os.readlink(f"/proc/self/fd/{fd}"))
            remove_tree(os.path.dirname(taken[0]))
        real_flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_a_sweeper)
    path = state.scratch("x")
    assert os.path.isdir(path)
    assert not path.startswith(os.path.dirname(taken[0]) + "/")


def test_a_lock_is_held_by_one_thread_at_a_time(state):
    inside, seen = [], []

    def work():
        with state.lock("key"):
            inside.append(1)
            seen.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 20
    assert os.listdir(os.path.join(state.root_dir, "locks")) == []


def test_locks_of_different_names_do_not_wait_for_each_other(state):
    with state.lock("one"), state.lock("two"):
        assert len(os.listdir(os.path.join(state.root_dir, "locks"))) == 2


def test_a_lock_ends_with_a_killed_process(state, root_dir):
    code = "with state.lock('k'):\n print('held', flush=True)\n import time\n time.sleep(60)"
    other = in_another_process(root_dir, code, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "held\n"
    state.sweep()
    assert len(os.listdir(os.path.join(root_dir, "locks"))) == 1
    other.kill()
    other.communicate()
    with state.lock("k"):
        pass
    assert os.listdir(os.path.join(root_dir, "locks")) == []


def test_lock_files_of_killed_processes_are_swept(state, root_dir):
    left = os.path.join(root_dir, "locks", "0" * 64)
    open(left, "w").close()
    with state.lock("k"):
        state.sweep()
        assert len(os.listdir(os.path.join(root_dir, "locks"))) == 1
        assert not os.path.exists(left)


def test_cache_mounts_of_any_name_stay_inside_the_store(state):
    path = state.cache_mount("../../etc")
    assert os.path.dirname(path) == state.cache_mounts_dir


def test_writing_atomically_replaces_the_content_and_leaves_nothing_aside(tmp_path):
    path = tmp_path / "file"
    write_atomically(str(path), b"one")
    write_atomically(str(path), b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_atomic_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(str(path), b"one")
    with pytest.raises(TypeError):
        write_atomically(str(path), "no bytes")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]


def test_a_tree_is_removed_whatever_modes_its_directories_have(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "a" / "b").chmod(0)
    (tree / "a").chmod(0o500)
    tree.chmod(0o100)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


def test_removing_a_tree_follows_no_link_out_of_it(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_removing_a_link_or_a_file_or_nothing_is_fine(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "file").touch()
    for name in ("link", "file", "missing"):
        remove_tree(str(tmp_path / name))
    assert os.listdir(tmp_path) == ["target"]


def test_a_tree_deeper_than_any_path_may_be_is_removed(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("directory", dir_fd=here)
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []
