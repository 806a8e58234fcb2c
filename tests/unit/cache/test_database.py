import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache.database import MIGRATIONS, Database
from cache.errors import StoreError
from cache.statedir import StateDir


@pytest.fixture
def state(tmp_path):
    return StateDir(str(tmp_path / "store"))


@pytest.fixture
def database(state):
    database = Database(state)
    yield database
    database.close()


def count(database):
    return database.connection().execute("SELECT count(*) FROM names").fetchone()[0]


def insert(connection, name):
    connection.execute("INSERT INTO names (name, image_id) VALUES (?, 'i')", (name,))


def test_a_transaction_that_ends_well_is_kept(state, database):
    with database.transaction() as connection:
        insert(connection, "a")
    database.close()
    again = Database(state)
    assert count(again) == 1
    again.close()


def test_a_transaction_that_fails_changes_nothing(database):
    def fail():
        with database.transaction() as connection:
            insert(connection, "a")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert count(database) == 0
    with database.transaction() as connection:
        insert(connection, "a")
    assert count(database) == 1


def test_sqlite_errors_become_ones_that_a_user_understands(database):
    with pytest.raises(StoreError, match="cannot be used"), database.transaction() as connection:
        connection.execute("INSERT INTO no_such_table VALUES (1)")


def test_each_thread_has_its_own_connection(database):
    found = []
    thread = threading.Thread(target=lambda: found.append(database.connection()))
    thread.start()
    thread.join()
    assert found[0] is not database.connection()


def test_many_threads_opening_a_new_store_at_once_all_succeed(state):
    def work(number):
        database = Database(state)
        with database.transaction() as connection:
            insert(connection, str(number))
        database.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    database = Database(state)
    assert count(database) == 16
    database.close()


def test_an_index_of_a_later_version_is_refused(state, database):
    database.connection().execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    later = Database(state)
    with pytest.raises(StoreError, match="version"):
        later.connection()
    later.close()


def test_a_file_that_is_no_database_is_refused(state):
    with open(state.database, "wb") as file:
        file.write(b"not a database at all" * 100)
    with pytest.raises(StoreError):
        Database(state).connection()


def test_an_interrupted_migration_is_done_again(state):
    broken = sqlite3.connect(state.database)
    broken.execute("PRAGMA journal_mode=WAL")
    broken.close()
    database = Database(state)
    assert count(database) == 0
    database.close()
