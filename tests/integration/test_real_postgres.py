"""PostgreSQL from Debian on a named volume: killed while it is written to, and nothing is lost."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.boxes import wait_until
from support.needs import scratch_parent
from support.pybuild import Pybuild, pybuild_of
from support.real import FIXTURES
from support.users import current_person

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("debian", "mmdebstrap"),
]

DATA = ("-v", "pgdata:/var/lib/postgresql", "--network", "none")
WRITES = 'i=0; while psql -qc "insert into acked values ($i)"; do echo $i; i=$((i+1)); done'


@pytest.fixture(scope="module")
def postgres_tar(debian_tar: Path) -> Iterator[Path]:
    """The image as an archive, built once for all who run it."""
    with (
        pybuild_of(current_person()) as pybuild,
        tempfile.TemporaryDirectory(prefix="pybuild-postgres-", dir=scratch_parent()) as folder,
    ):
        pybuild("import", debian_tar, "debian:bookworm").ok()
        pybuild("-t", "postgres", FIXTURES / "postgres").ok()
        archive = Path(folder) / "postgres.tar"
        pybuild("save", "-o", archive, "postgres").ok()
        Path(folder).chmod(0o755)
        archive.chmod(0o644)
        yield archive


@pytest.fixture
def database(pybuild: Pybuild, postgres_tar: Path) -> Pybuild:
    pybuild("load", "-i", postgres_tar).ok()
    return pybuild


def start(pybuild: Pybuild) -> None:
    pybuild("run", "-d", "--name", "db", *DATA, "postgres").ok()
    ready = ("run", "--rm", *DATA, "postgres", "pg_isready", "-q")
    wait_until(lambda: pybuild(*ready).status == 0, "the database doesn't answer", timeout_s=60)


def query(pybuild: Pybuild, statement: str) -> str:
    return pybuild("run", "--rm", *DATA, "postgres", "psql", "-Atqc", statement).ok().stdout


def test_what_a_database_has_acknowledged_outlives_its_container(database: Pybuild):
    owner = database("run", "--rm", *DATA, "postgres", "stat", "-c", "%U", "/var/lib/postgresql")
    assert owner.ok().stdout == "postgres\n"  # the image's: without it no database can be made
    start(database)
    assert query(database, "create table acked (n int primary key)") == ""
    writer = database.start(
        *("run", "--rm", *DATA, "postgres", "sh", "-c", WRITES), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: int(query(database, "select count(*) from acked")) >= 10)
    database("rm", "-f", "-v", "db").ok()
    written, _ = writer.communicate(timeout=60)
    acknowledged = {int(line) for line in written.split()}
    assert len(acknowledged) >= 10
    start(database)
    kept = {int(line) for line in query(database, "select n from acked").split()}
    assert acknowledged <= kept
    assert len(kept - acknowledged) <= 1  # what was written and not told any more
    database("rm", "-f", "db").ok()
    assert database("volume", "rm", "pgdata").ok().stdout == "pgdata\n"
