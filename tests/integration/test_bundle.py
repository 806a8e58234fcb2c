"""Bundles, run by other people's runtimes as root and rootless."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conftest import person_of
from support.boxes import box_of
from support.commands import Finished, run
from support.peers import apart
from support.pybuild import Pybuild
from support.schemas import schema

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]
RUNTIMES = [
    pytest.param("runc", marks=pytest.mark.needs("runc")),
    pytest.param("crun", marks=pytest.mark.needs("crun")),
]


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def dest(box: Pybuild) -> Iterator[Path]:
    folder = box.folder / "bundle"
    yield folder
    remove(box, folder)


def remove(box: Pybuild, folder: Path) -> None:
    """As root: a user's bundle has files of the user's subordinate ids."""
    run(["rm", "-rf", folder]).ok()


def config_of(bundle: Path) -> Any:
    document = json.loads((bundle / "config.json").read_text())
    jsonschema.validate(document, schema("runtime-config"))
    return document


def run_with(runtime: str, box: Pybuild, bundle: Path) -> Finished:
    state = box.folder / f"{runtime}-state"
    name = f"pybuild-test-{box.user.uid}-{bundle.name}"
    command = [runtime, "--root", state, "run", "--bundle", bundle, name]
    argv = [*box.user.prefix(), *map(str, command)]
    return run(apart(argv) if runtime == "crun" else argv)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bundle_runs_as_the_options_say(box: Pybuild, dest: Path, runtime: str):
    script = "echo $A $FROM_IMAGE; id -u; id -g; pwd; hostname; cat /etc/hostname; exit 3"
    box("bundle", "-e", "A=b", "-u", "1000:7", "-w", "/tree", "-h", "inside", "box", dest,
        "sh", "-c", script).ok()  # fmt: skip
    done = run_with(runtime, box, dest)
    assert done.stdout == "b yes\n1000\n7\n/tree\ninside\ninside\n", done
    assert done.status == 3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bundle_is_confined_as_a_container_is(box: Pybuild, dest: Path, runtime: str):
    script = "grep -E '^(CapBnd|CapEff|Seccomp|NoNewPrivs):' /proc/self/status; ls /sys/class/net"
    options = ("--network", "none", "--cap-drop", "ALL", "--cap-add", "CHOWN",
               "--security-opt", "no-new-privileges")  # fmt: skip
    box("bundle", *options, "box", dest, "sh", "-c", script).ok()
    theirs = run_with(runtime, box, dest).ok().stdout.split()
    ours = box("run", "--rm", *options, "box", "sh", "-c", script).ok().stdout.split()
    assert theirs == ours


def test_a_bundle_holds_the_images_files_with_their_owners(box: Pybuild, dest: Path):
    box("bundle", "box", dest).ok()
    assert (dest / "rootfs/data/file").read_text() == "from the image\n"
    status = (dest / "rootfs/data/file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    mapped = box.user.uid != 0
    assert (status.st_uid != 1000) == mapped
    assert stat.S_IMODE(dest.stat().st_mode) == 0o700
    assert dest.stat().st_uid == box.user.uid
    assert {path.name for path in dest.iterdir()} == {
        "config.json", "rootfs", "hosts", "hostname", "resolv.conf",
    }  # fmt: skip


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_volume_has_the_images_files_and_keeps_what_is_written(
    box: Pybuild, dest: Path, runtime: str
):
    box("bundle", "volumes", dest, "sh", "-c", "cat /data/file; echo x > /fresh/y").ok()
    assert run_with(runtime, box, dest).ok().stdout == "from the image\n"
    found = {path.relative_to(dest).as_posix() for path in (dest / "volumes").rglob("y")}
    assert len(found) == 1
    assert not (dest / "rootfs/fresh/y").exists()


def test_the_document_is_valid_and_says_what_the_image_says(box: Pybuild, dest: Path):
    box("bundle", "-l", "k=v", "--stop-signal", "HUP", "box", dest).ok()
    document = config_of(dest)
    assert document["process"]["args"] == ["echo", "the default"]
    assert document["annotations"]["k"] == "v"
    assert document["annotations"]["org.opencontainers.image.stopSignal"] == "HUP"


def test_a_directory_that_holds_something_is_left_alone(box: Pybuild, dest: Path):
    box.context({"mine": "x"}, name="bundle")
    done = box("bundle", "box", dest)
    assert done.status == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in dest.iterdir()] == ["mine"]
    assert list(dest.parent.glob("bundle.*")) == []


def test_an_empty_directory_is_taken(box: Pybuild, dest: Path):
    box.context({}, name="bundle")
    box("bundle", "box", dest).ok()
    config_of(dest)


def test_a_user_that_the_image_lacks_leaves_nothing(box: Pybuild, dest: Path):
    done = box("bundle", "-u", "nobody-here", "box", dest)
    assert done.status == 1
    assert "nobody-here" in done.stderr
    assert list(dest.parent.glob("bundle*")) == []


@pytest.mark.parametrize(
    "option", ["--rm", "--name=x", "--restart=always", "--cidfile=x", "--init"]
)
def test_options_about_running_are_refused_by_name(box: Pybuild, dest: Path, option: str):
    done = box("bundle", option, "box", dest)
    assert done.status == 1
    assert option.partition("=")[0] in done.stderr
    assert not dest.exists()
