from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from builder.image.model import ContainerConfig, Platform
from builder.runtime.container import Container, ContainerState, HostConfig
from builder.runtime.containers import Containers
from builder.runtime.errors import (
    AmbiguousContainerError,
    ContainerNameTakenError,
    ContainerRunningError,
    UnknownContainerError,
)
from builder.runtime.liveness import boot_id, identity_of
from builder.runtime.volumes import HostMount, HostMounts, VolumeMount
from cache.database import Database
from cache.digest import sha256_digest
from cache.errors import NotFoundError
from cache.statedir import StateDir

IMAGE_ID = sha256_digest(b"image")


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


@pytest.fixture
def database(state):
    database = Database(state)
    with database.transaction() as connection:
        connection.execute("INSERT INTO images VALUES (?, '[]', 0)", (IMAGE_ID,))
    yield database
    database.close()


@pytest.fixture
def containers(state, database):
    return Containers(state, database, lambda: 1000.0)


def container(
    container_id: str = "a",
    *,
    name: str = "",
    auto_remove: bool = False,
    mounts: tuple[HostMount, ...] = (),
) -> Container:
    return Container(
        container_id=container_id.ljust(64, "0"),
        name=name,
        created=500.0,
        image_id=IMAGE_ID,
        image_name="app",
        platform=Platform("linux", "amd64"),
        diff_ids=(),
        config=ContainerConfig(cmd=("true",)),
        host=HostConfig(auto_remove=auto_remove, mounts=HostMounts(mounts)),
    )


def make(containers: Containers, *args: str, **kwargs: str) -> Container:
    with containers.created(container(*args, **kwargs)) as held:
        return held.container


def test_a_new_container_can_be_found_and_loaded(containers):
    created = make(containers, "abc", name="web")
    for text in ("web", created.container_id, "abc", "abc0"):
        assert containers.load(containers.find(text)) == created


def test_a_container_without_a_name_gets_one_that_stays(containers):
    created = make(containers)
    assert created.name
    assert containers.load(created.container_id).name == created.name


def test_two_containers_of_one_name_are_refused_and_the_second_leaves_nothing(containers, state):
    make(containers, "a", name="web")
    with pytest.raises(ContainerNameTakenError):
        make(containers, "b", name="web")
    assert os.listdir(state.containers_dir) == ["a".ljust(64, "0")]


def test_a_name_is_free_again_once_its_container_is_removed(containers):
    first = make(containers, "a", name="web")
    containers.remove(first.container_id)
    assert make(containers, "b", name="web").name == "web"


def test_a_container_of_an_image_that_has_gone_is_refused(containers, database, state):
    with database.transaction() as connection:
        connection.execute("DELETE FROM images")
    with pytest.raises(NotFoundError):
        make(containers)
    assert os.listdir(state.containers_dir) == []


@pytest.mark.parametrize("text", ["", "b", "web", "A", "a%", "*"])
def test_what_names_no_container_is_unknown(containers, text):
    make(containers, "a", name="api")
    with pytest.raises(UnknownContainerError):
        containers.find(text)


def test_the_beginning_of_several_ids_is_ambiguous(containers):
    make(containers, "ab1", name="x")
    make(containers, "ab2", name="y")
    with pytest.raises(AmbiguousContainerError):
        containers.find("ab")


def test_a_name_wins_over_the_beginning_of_an_id(containers):
    make(containers, "abc", name="x")
    named = make(containers, "def", name="abc")
    assert containers.find("abc") == named.container_id


def test_a_container_is_held_by_one_at_a_time(containers):
    created = make(containers)
    with containers.held(created.container_id):
        assert containers.is_held(created.container_id)
        with (
            pytest.raises(ContainerRunningError),
            containers.held(created.container_id, wait_s=0.01),
        ):
            pass
    assert not containers.is_held(created.container_id)


def test_a_new_container_is_held_while_its_block_lasts(containers):
    with containers.created(container()) as held:
        created = held.container
        assert containers.is_held(created.container_id)
    assert not containers.is_held(created.container_id)


def test_a_container_that_was_never_started_is_created(containers):
    created = make(containers)
    assert containers.report(created).status == "created"


def test_a_container_whose_process_lives_is_running(containers):
    created = make(containers)
    identity = identity_of(os.getpid())
    assert identity is not None
    state = ContainerState(os.getpid(), identity.started, identity.boot_id, started_at=1.0)
    containers.write_state(created.container_id, state)
    assert containers.report(created).status == "running"


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_container_whose_process_died_unseen_was_killed_and_that_is_written_down(containers):
    created = make(containers)
    state = ContainerState(dead_pid(), 7, boot_id(), started_at=1.0)
    containers.write_state(created.container_id, state)
    report = containers.report(created)
    assert (report.status, report.state.exit_code) == ("exited", 137)
    assert containers.state(created.container_id).finished_at == 1000.0


def test_a_process_that_has_the_pid_of_an_earlier_one_does_not_make_a_container_run(containers):
    created = make(containers)
    state = ContainerState(os.getpid(), 1, boot_id(), started_at=1.0)
    containers.write_state(created.container_id, state)
    assert containers.report(created).status == "exited"


def test_how_a_container_of_an_earlier_boot_ended_is_unknown(containers):
    created = make(containers)
    identity = identity_of(os.getpid())
    assert identity is not None
    state = ContainerState(os.getpid(), identity.started, "earlier", started_at=1.0)
    containers.write_state(created.container_id, state)
    report = containers.report(created)
    assert (report.status, report.state.exit_code) == ("exited", 255)


def test_the_latest_container_is_listed_first(containers):
    ids = [make(containers, letter).container_id for letter in "abc"]
    assert [report.container.container_id for report in containers.reports()] == ids[::-1]


def test_a_container_with_rm_that_nobody_holds_is_not_listed_and_swept(containers, state):
    make(containers, "a", auto_remove=True)
    assert containers.reports() == ()
    containers.sweep()
    assert os.listdir(state.containers_dir) == []


def test_a_container_with_rm_that_is_held_stays(containers):
    with containers.created(container(auto_remove=True)) as held:
        created = held.container
        containers.sweep()
        assert [report.container for report in containers.reports()] == [created]


def test_the_sweep_takes_directories_without_a_row_and_rows_without_a_directory(
    containers, database, state
):
    kept = make(containers, "a")
    os.mkdir(state.container("lost"))
    with database.transaction() as connection:
        connection.execute("INSERT INTO containers VALUES ('gone', 'n', 'i', 0, 0)")
    containers.sweep()
    assert os.listdir(state.containers_dir) == [kept.container_id]
    assert len(containers.reports()) == 1


def test_a_container_whose_record_is_damaged_is_listed_and_can_be_removed(containers, state):
    created = make(containers, "a", name="web")
    with open(containers.paths(created.container_id).config, "wb") as file:
        file.write(b"{")
    (report,) = containers.reports()
    assert (report.container.name, report.status) == ("web", "exited")
    assert report.state.error
    containers.remove(containers.find("web"))
    assert containers.reports() == ()
    assert os.listdir(state.containers_dir) == []


def test_removing_a_container_removes_the_volumes_that_it_alone_uses(containers, state):
    mine, shared = (VolumeMount(name, f"/{name}", anonymous=True) for name in ("mine", "shared"))
    first = make(containers, "a", mounts=(mine, shared))
    make(containers, "b", mounts=(shared,))
    containers.remove(first.container_id, volumes=first.anonymous_volumes)
    assert os.listdir(state.volumes_dir) == ["shared"]
    assert [volume.name for volume in containers.volumes.all()] == ["shared"]


def test_a_container_that_cannot_be_made_makes_no_volume(containers):
    make(containers, "a", name="web")
    with pytest.raises(ContainerNameTakenError):
        make(containers, "b", name="web", mounts=(VolumeMount("data", "/data"),))
    assert containers.volumes.all() == ()


def test_a_state_that_was_written_is_read_back(containers):
    created = make(containers)
    state = replace(ContainerState(), pid=5, started_at=1.0, error="x")
    containers.write_state(created.container_id, state)
    assert containers.state(created.container_id) == state
