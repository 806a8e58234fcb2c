"""Devices of containers: what may be opened, what is given, as root and rootless."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest

from conftest import person_of
from support.boxes import box_of
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

FUSE = "/dev/fuse"
READ = "exec 5<{0} && echo read"
WRITE = "exec 6>{0} && echo wrote"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def root_box(box: Pybuild) -> Pybuild:
    if box.is_rootless:
        pytest.skip("an ordinary user can neither make nodes nor rules for them")
    if not os.path.exists(FUSE):
        pytest.skip("no /dev/fuse to try it with")
    try:
        os.close(os.open(FUSE, os.O_RDWR))
    except OSError:
        pytest.skip("a group around this process forbids /dev/fuse")
    return box


def ran(box: Pybuild, script: str, *options: str) -> str:
    return box("run", "--rm", *options, "box", "sh", "-c", script).stdout


def test_the_usual_devices_work(box: Pybuild):
    script = "head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 2 /dev/urandom | wc -c"
    assert ran(box, script).split() == ["3", "2"]


def test_a_node_that_a_container_makes_opens_no_device_but_the_usual_ones(root_box: Pybuild):
    script = f"mknod /fuse c 10 229; ({READ}); mknod /null c 1 3; echo x > /null && echo null"
    assert ran(root_box, script.format("/fuse")) == "null\n"


def test_a_device_is_there_under_the_name_that_it_was_given(root_box: Pybuild):
    script = f"{READ}; {WRITE}".format("/dev/some/where")
    assert ran(root_box, script, "--device", f"{FUSE}:/dev/some/where") == "read\nwrote\n"


def test_a_device_may_be_given_for_reading_alone(root_box: Pybuild):
    script = f"({READ}); ({WRITE})".format(FUSE)
    assert ran(root_box, script, "--device", f"{FUSE}:r") == "read\n"


def test_a_rule_allows_nodes_that_the_container_makes(root_box: Pybuild):
    script = f"mknod /fuse c 10 229; ({READ}); ({WRITE})".format("/fuse")
    assert ran(root_box, script, "--device-cgroup-rule", "c 10:229 r") == "read\n"


def test_a_privileged_container_may_open_all(root_box: Pybuild):
    assert ran(root_box, READ.format(FUSE), "--privileged") == "read\n"


def test_a_change_of_a_nodes_mode_stays_in_the_container(box: Pybuild):
    before = os.stat("/dev/null")
    ran(box, "chmod 600 /dev/null; chown 1:1 /dev/null")
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert stat.S_IMODE(after.st_mode) == 0o666


def test_a_user_gives_away_the_devices_that_are_open_to_the_user(box: Pybuild):
    assert ran(box, "head -c 2 /dev/again | wc -c", "--device", "/dev/zero:/dev/again") == "2\n"


def test_what_cannot_be_given_is_refused(box: Pybuild):
    for device in ("/dev/nothing-like-it", "/etc:/dev/etc", "/dev/null:/null"):
        done = box("run", "--rm", "--device", device, "box", "true")
        assert (done.status, done.stdout) == (125, "")
        assert "--device" in done.stderr
    if box.is_rootless:
        for options in (("--device", "/dev/zero:r"), ("--device-cgroup-rule", "c 1:1 r")):
            done = box("run", "--rm", *options, "box", "true")
            assert done.status == 125
            assert "run pybuild as root" in done.stderr
