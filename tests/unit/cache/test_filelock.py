import os
import threading

import pytest

from cache.filelock import WaitGivenUpError, names, try_lock, wait_for_lock
from cache.statedir import StateDir


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


def opened(path):
    return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)


def test_one_has_the_lock_until_it_closes_the_file(path):
    first, second = opened(path), opened(path)
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_shared_locks_are_held_together_and_keep_an_exclusive_one_out(path):
    fds = [opened(path) for _ in range(3)]
    assert try_lock(fds[0], shared=True)
    assert try_lock(fds[1], shared=True)
    assert not try_lock(fds[2])
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("given_up", [None, lambda: False])
def test_whoever_waits_gets_the_lock_when_it_is_free(path, given_up):
    first, second = opened(path), opened(path)
    assert try_lock(first)
    timer = threading.Timer(0.05, os.close, (first,))
    timer.start()
    wait_for_lock(second, given_up=given_up)
    timer.join()
    third = opened(path)
    assert not try_lock(third)
    os.close(second)
    os.close(third)


def test_a_wait_can_be_given_up(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    told = iter([False, False, True])
    with (
        state.lock("step"),
        pytest.raises(WaitGivenUpError),
        state.lock("step", given_up=lambda: next(told)),
    ):
        pass
    state.close()


def test_a_removed_file_is_no_longer_named_by_its_path(path):
    fd = opened(path)
    assert names(path, fd)
    os.unlink(path)
    assert not names(path, fd)
    other = opened(path)
    assert not names(path, fd)
    os.close(fd)
    os.close(other)
