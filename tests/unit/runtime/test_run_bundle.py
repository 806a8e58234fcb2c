from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from builder.image.model import ContainerConfig, ImageConfig, Platform, StoredImage
from builder.runtime.bundle import (
    DEFAULT_PATH,
    RunOptions,
    container_config,
    merged_env,
    mount_entries,
    new_container,
    process_env,
)
from builder.runtime.container import Container, HostConfig
from builder.runtime.errors import InvalidOptionError
from builder.runtime.volumes import HostBind, HostMounts, TmpfsMount, VolumeMount
from builder.sandbox.api import DEFAULT_CAPABILITIES, BindEntry
from cache.digest import sha256_digest

EVERY = (*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN", "CAP_NET_ADMIN")
IMAGE = ContainerConfig(
    entrypoint=("/entry",),
    cmd=("serve",),
    env=(("PATH", "/bin"), ("A", "1")),
    user="app",
    working_dir="/srv",
    labels=(("from", "image"),),
)


def container(options: RunOptions, config: ContainerConfig = IMAGE) -> Container:
    numbers = count()
    image = StoredImage(
        image_id=sha256_digest(b"image"),
        config=ImageConfig(Platform("linux", "amd64"), config),
        layer_sizes=(),
    )
    return new_container(
        image,
        "app",
        options,
        container_id="ab" * 32,
        created=1.5,
        new_volume_name=lambda: f"volume{next(numbers)}",
    )


def test_without_options_the_images_command_line_runs():
    assert container(RunOptions()).args == ("/entry", "serve")


def test_arguments_take_the_place_of_the_images_cmd():
    assert container(RunOptions(args=("x", "y"))).args == ("/entry", "x", "y")


def test_an_entrypoint_takes_away_the_images_cmd():
    assert container(RunOptions(entrypoint=("sh",))).args == ("sh",)
    assert container(RunOptions(entrypoint=("sh",), args=("-c", "x"))).args == ("sh", "-c", "x")


def test_an_empty_entrypoint_leaves_the_arguments_alone():
    assert container(RunOptions(entrypoint=(), args=("ls",))).args == ("ls",)


def test_a_container_without_a_command_is_refused():
    with pytest.raises(InvalidOptionError, match="no command"):
        container(RunOptions(entrypoint=()))


def test_user_and_working_directory_take_the_place_of_the_images():
    config = container_config(IMAGE, RunOptions(user="7:8", working_dir="/x/../y"))
    assert (config.user, config.working_dir) == ("7:8", "/y")
    config = container_config(IMAGE, RunOptions())
    assert (config.user, config.working_dir) == ("app", "/srv")


def test_a_relative_working_directory_is_refused():
    with pytest.raises(InvalidOptionError):
        container_config(IMAGE, RunOptions(working_dir="x"))


def test_labels_are_added_to_the_images():
    config = container_config(IMAGE, RunOptions(labels=(("from", "run"), ("a", "b"))))
    assert config.labels == (("a", "b"), ("from", "run"))


def test_a_changed_variable_keeps_its_place_and_one_without_value_goes():
    assert merged_env(
        (("A", "1"), ("B", "2"), ("C", "3")), (("B", "x"), ("A", None), ("D", ""))
    ) == (
        ("B", "x"),
        ("C", "3"),
        ("D", ""),
    )


def test_the_environment_begins_with_the_defaults_and_ends_with_home():
    bare = container(RunOptions(env=(("K", "v"),)), replace(IMAGE, env=()))
    assert process_env(bare, home="/h") == (
        f"PATH={DEFAULT_PATH}",
        f"HOSTNAME={'ab' * 6}",
        "K=v",
        "HOME=/h",
    )


def test_the_images_path_and_home_win_over_the_defaults():
    made = container(RunOptions(env=(("HOME", "/mine"),)))
    assert process_env(made, home="/h") == (
        "PATH=/bin",
        f"HOSTNAME={'ab' * 6}",
        "A=1",
        "HOME=/mine",
    )


def test_a_terminal_sets_term_unless_the_image_does():
    with_terminal = RunOptions(host=HostConfig(terminal=True))
    assert "TERM=xterm" in process_env(container(with_terminal), home="/")
    assert "TERM=dumb" in process_env(
        container(replace(with_terminal, env=(("TERM", "dumb"),))), home="/"
    )


def test_each_volume_of_the_image_gets_a_volume_unless_something_is_mounted_there():
    config = replace(IMAGE, volumes=("/data", "/log/"))
    asked = HostConfig(mounts=HostMounts((HostBind("/host", "/data"),)))
    assert container(RunOptions(host=asked), config).host.mounts.entries == (
        HostBind("/host", "/data"),
        VolumeMount("volume0", "/log", anonymous=True),
    )


def test_what_is_inside_another_volume_is_mounted_after_it():
    asked = HostConfig(
        mounts=HostMounts(
            (HostBind("/1", "/a/b/c"), TmpfsMount("/z"), VolumeMount("three", "/a/b"))
        )
    )
    made = container(RunOptions(host=asked))
    targets = [mount.target for mount in made.host.mounts.entries]
    assert targets == ["/z", "/a/b", "/a/b/c"]


def test_a_volume_over_etc_hosts_takes_its_place():
    mounts = (BindEntry("/mine", "/etc/hosts", readonly=True),)
    files = (("/etc/hosts", "/c/hosts"), ("/etc/hostname", "/c/hostname"))
    assert mount_entries(files, mounts) == (BindEntry("/c/hostname", "/etc/hostname"), *mounts)
