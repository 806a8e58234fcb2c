import subprocess
import sys

import pytest

from cache.database import Database
from cache.leases import Leases
from cache.statedir import StateDir


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
def leases(state, database):
    return Leases(state, database)


def rows(database):
    return database.connection().execute("SELECT count(*) FROM leases").fetchone()[0]


def test_a_lease_holds_until_its_block_ends(leases):
    with leases.hold() as lease:
        lease.add("chain", "a", "b")
        lease.add("blob", "c")
        assert leases.held("chain") == {"a", "b"}
        assert leases.held("blob") == {"c"}
    assert leases.held("chain") == frozenset()


def test_a_lease_ends_with_a_failure_too(leases):
    def fail():
        with leases.hold() as lease:
            lease.add("chain", "a")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert leases.held("chain") == frozenset()


def test_two_leases_on_one_thing_end_apart(leases):
    with leases.hold() as outer:
        outer.add("chain", "a")
        with leases.hold() as inner:
            inner.add("chain", "a")
        assert leases.held("chain") == {"a"}


def test_leases_of_a_killed_process_count_for_nothing(state, database, leases):
    program = (
        "import os, signal\n"
        "from cache.statedir import StateDir\n"
        "from cache.database import Database\n"
        "from cache.leases import Leases\n"
        f"state = StateDir({state.root_dir!r})\n"
        "with Leases(state, Database(state)).hold() as lease:\n"
        "    lease.add('chain', 'theirs')\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    with leases.hold() as lease:
        lease.add("chain", "mine")
        assert leases.held("chain") == {"mine", "theirs"}
        leases.sweep()
        assert leases.held("chain") == {"mine", "theirs"}
        other.kill()
        other.communicate()
        assert leases.held("chain") == {"mine"}
        assert rows(database) == 2
        leases.sweep()
        assert rows(database) == 1
