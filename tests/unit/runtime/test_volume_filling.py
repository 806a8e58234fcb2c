"""An empty volume gets the image's files, whole or not at all, whoever was killed before."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from builder.runtime import volumes_fill
from builder.runtime.errors import MountSourceError
from builder.runtime.volumes import VolumeMount
from builder.runtime.volumes_fill import fill
from cache.statedir import StateDir

MOUNT = VolumeMount("data", "/dir")


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    os.makedirs(state.volume_data("data"))
    yield state
    state.close()


@pytest.fixture
def data(state) -> Path:
    return Path(state.volume_data("data"))


@pytest.fixture
def root(tmp_path) -> Path:
    """The root of an image with files in /dir."""
    root = tmp_path / "root"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "file").write_text("image")
    (root / "dir" / "sub" / "deep").write_text("deep")
    (root / "dir").chmod(0o2751)
    return root


@pytest.fixture
def filled(state, root):
    """Fills the volume from the image."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def fill_it(mount: VolumeMount = MOUNT) -> None:
        fill(state, mount, root_fd, userxattr=True)

    yield fill_it
    os.close(root_fd)


def names(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def test_an_empty_volume_gets_the_images_files_and_the_directorys_mode(filled, data):
    filled()
    assert names(data) == ["file", "sub", "sub/deep"]
    assert stat.S_IMODE(data.stat().st_mode) == 0o2751


def test_a_volume_with_a_file_stays_as_it_is(filled, data):
    (data / "mine").touch()
    data.chmod(0o700)
    filled()
    assert names(data) == ["mine"]
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_nocopy_leaves_it_empty(filled, data):
    filled(VolumeMount("data", "/dir", nocopy=True))
    assert names(data) == []


def test_an_empty_directory_gives_its_mode_alone(filled, data, root):
    (root / "empty").mkdir()
    (root / "empty").chmod(0o1777)
    filled(VolumeMount("data", "/empty"))
    assert names(data) == []
    assert stat.S_IMODE(data.stat().st_mode) == 0o1777


def test_a_file_in_its_place_is_no_volume(filled, data):
    with pytest.raises(MountSourceError, match="/dir/file"):
        filled(VolumeMount("data", "/dir/file"))
    assert names(data) == []


def test_a_link_in_its_place_is_looked_up_inside_the_image(filled, data, root, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "outside").touch()
    (root / "way").symlink_to("../../dir")
    filled(VolumeMount("data", "/way"))
    assert names(data) == ["file", "sub", "sub/deep"]


def test_a_copy_that_was_killed_leaves_the_volume_empty_for_the_next(
    filled, data, state, monkeypatch
):
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(volumes_fill, "sync_filesystem", killed)
        with pytest.raises(KeyboardInterrupt):
            filled()
    assert names(data) == []
    filled()
    assert names(data) == ["file", "sub", "sub/deep"]


@pytest.mark.parametrize("moved", [0, 1])
def test_whoever_comes_after_a_kill_moves_in_what_is_left(filled, data, state, monkeypatch, moved):
    def rename_some(*arguments: object) -> None:
        nonlocal moved
        if moved == 0:
            raise KeyboardInterrupt
        moved -= 1
        rename_new(*arguments)

    rename_new = volumes_fill.rename_new
    with monkeypatch.context() as patch:
        patch.setattr(volumes_fill, "rename_new", rename_some)
        with pytest.raises(KeyboardInterrupt):
            filled()
    filled(VolumeMount("data", "/dir", nocopy=True))
    assert names(data) == ["file", "sub", "sub/deep"]
    assert not os.path.exists(state.volume_filled("data"))


def test_what_a_container_has_made_meanwhile_is_not_replaced(filled, data, monkeypatch):
    def made_first(*arguments: object) -> None:
        (data / "file").write_text("the container's")
        rename_new(*arguments)

    rename_new = volumes_fill.rename_new
    monkeypatch.setattr(volumes_fill, "rename_new", made_first)
    filled()
    assert (data / "file").read_text() == "the container's"
    assert (data / "sub" / "deep").read_text() == "deep"


def test_two_who_come_at_once_fill_it_once(filled, data):
    threads = [threading.Thread(target=filled) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(data) == ["file", "sub", "sub/deep"]
