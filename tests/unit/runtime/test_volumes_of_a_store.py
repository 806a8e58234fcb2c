"""Volumes: made once, kept while a container uses them, gone with their files."""

from __future__ import annotations

import os

import pytest

from builder.runtime.errors import (
    InvalidVolumeNameError,
    UnknownVolumeError,
    VolumeExistsError,
    VolumeInUseError,
)
from builder.runtime.volumes import HostMounts, ImageMount, VolumeMount
from builder.runtime.volumes_store import Volume, Volumes
from cache.database import Database
from cache.digest import sha256_digest
from cache.errors import NotFoundError
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
def volumes(state, database):
    return Volumes(state, database, lambda: 1000.5)


def use(volumes: Volumes, database: Database, container_id: str, *names: str) -> None:
    mounts = HostMounts(tuple(VolumeMount(name, f"/{name}") for name in names))
    with database.transaction() as connection:
        volumes.claim(connection, container_id, mounts)


def test_a_volume_is_found_with_all_that_it_was_made_with(volumes):
    made = volumes.create("data", labels=(("b", "2"), ("a", "1")))
    assert made == Volume("data", 1000.5, labels=(("a", "1"), ("b", "2")))
    assert volumes.find("data") == made
    assert os.listdir(volumes.data_dir("data")) == []


def test_a_volume_of_a_name_is_made_once(volumes):
    volumes.create("data", labels=(("a", "1"),))
    assert volumes.create("data").labels == (("a", "1"),)
    assert [volume.name for volume in volumes.all()] == ["data"]


def test_a_volume_without_a_name_gets_one_of_its_own(volumes):
    first, second = volumes.create(), volumes.create()
    assert first.anonymous
    assert len({first.name, second.name}) == 2


@pytest.mark.parametrize("name", ["..", ".a", "a/b", "a", "-ab", "a b", "ab\n", "a" * 256, "ä1"])
def test_what_is_no_name_makes_no_volume(volumes, name):
    with pytest.raises(InvalidVolumeNameError):
        volumes.create(name)
    assert volumes.all() == ()


def test_a_volume_that_is_another_one_is_not_taken_for_it(volumes, tmp_path):
    volumes.create("data")
    with pytest.raises(VolumeExistsError):
        volumes.create("data", options=(("device", str(tmp_path)), ("o", "bind")))


def test_a_volume_can_be_a_directory_of_the_users_and_leaves_it_when_it_goes(volumes, tmp_path):
    (tmp_path / "file").touch()
    volumes.create("mine", options=(("device", str(tmp_path)), ("o", "bind")))
    assert volumes.data_dir("mine") == str(tmp_path)
    volumes.remove("mine")
    assert (tmp_path / "file").exists()


def test_a_container_makes_the_volumes_that_it_names(volumes, database):
    use(volumes, database, "c1", "data")
    assert volumes.users("data") == ("c1",)
    assert volumes.used_names() == {"data"}


def test_a_container_that_mounts_an_image_which_has_gone_is_refused(volumes, database):
    image = ImageMount("box", "/img", image_id=sha256_digest(b"image"))
    with database.transaction() as connection, pytest.raises(NotFoundError, match="box"):
        volumes.claim(connection, "c1", HostMounts((VolumeMount("data", "/data"), image)))
    assert volumes.all() == ()


def test_a_volume_in_use_is_not_removed_and_the_error_names_the_container(volumes, database):
    with database.transaction() as connection:
        connection.execute("INSERT INTO containers VALUES ('c1', 'web', 'x', 0, 0)")
    use(volumes, database, "c1", "data")
    with pytest.raises(VolumeInUseError, match="web"):
        volumes.remove("data")
    assert not volumes.remove_unused("data")
    assert volumes.find("data")
    with database.transaction() as connection:
        volumes.release(connection, "c1")
    volumes.remove("data")
    with pytest.raises(UnknownVolumeError):
        volumes.find("data")


def test_a_volume_that_is_removed_takes_its_files_along(volumes, state):
    volumes.create("data")
    os.makedirs(os.path.join(volumes.data_dir("data"), "deep", "er"))
    volumes.remove("data")
    assert os.listdir(state.volumes_dir) == []


def test_an_unknown_volume_cannot_be_removed(volumes):
    with pytest.raises(UnknownVolumeError):
        volumes.remove("data")


def test_what_a_killed_removal_left_is_no_part_of_a_new_volume_of_that_name(volumes, state):
    os.makedirs(os.path.join(state.volume_data("data"), "old"))
    volumes.create("data")
    assert os.listdir(volumes.data_dir("data")) == []


def test_what_a_killed_removal_left_is_swept_and_nothing_else(volumes, state):
    volumes.create("kept")
    os.makedirs(state.volume_data("left"))
    os.makedirs(os.path.join(state.volume("other"), "of-another-layout"))
    volumes.sweep()
    assert sorted(os.listdir(state.volumes_dir)) == ["kept", "other"]
