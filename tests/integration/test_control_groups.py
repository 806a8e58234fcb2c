"""Control groups of the real kernel, in each hierarchy that it has, without a container."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.kernel.cgroup import ControlGroup
from builder.sandbox import cgroup, devicerules
from builder.sandbox.cgroup import Hierarchy
from builder.sandbox.devicerules import DEFAULT_RULES, DeviceRule
from support.boxes import wait_until

pytestmark = [pytest.mark.privileged]

FORKING = "while :; do sleep 0.01; done"


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("these groups are root's")


def own_hierarchies() -> tuple[Hierarchy, ...]:
    mountinfo, own = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")
    return cgroup.hierarchies(mountinfo.read_text(), own.read_text())


@pytest.fixture(params=["", "freezer"], ids=["version-2", "version-1"])
def group(request: pytest.FixtureRequest) -> Iterator[ControlGroup]:
    """One that can freeze and kill in one of the versions alone."""
    found = [item for item in own_hierarchies() if item.controllers == request.param]
    if not found:
        pytest.skip("the kernel has no such hierarchy here")
    planned = cgroup.planned(found, f"test-{os.getpid()}", [request.param])
    made = cgroup.make(planned, [request.param])
    if not made:
        pytest.skip("no group can be made here")
    yield made
    made.kill_all()
    made.remove()


def joined(group: ControlGroup, script: str) -> subprocess.Popen[bytes]:
    joins = "; ".join(f"echo $$ > {file}" for file in group.join_files)
    process = subprocess.Popen(["sh", "-c", f"{joins}; {script}"], stderr=subprocess.DEVNULL)
    wait_until(lambda: process.pid in group.processes())
    return process


def run_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_processes_that_fork_all_the_time_are_all_held_still(group: ControlGroup):
    process = joined(group, FORKING)
    group.freeze()
    before = group.processes()
    assert process.pid in before
    time.sleep(0.1)
    assert group.processes() == before
    group.thaw()
    wait_until(lambda: group.processes() != before)
    group.kill_all()
    assert process.wait(10) == -9


def test_killing_leaves_none_even_of_those_that_are_held_still(group: ControlGroup):
    process = joined(group, f"({FORKING}) & ({FORKING}) & {FORKING}")
    group.freeze()
    group.kill_all()
    assert group.processes() == ()
    assert process.wait(10) == -9


def test_groups_that_were_made_below_go_with_it(group: ControlGroup):
    (directory,) = group.directories.values()
    below = Path(directory, "below", "deeper")
    below.mkdir(parents=True)
    process = joined(ControlGroup({"": str(below)}), FORKING)
    assert process.pid in group.processes()
    group.kill_all()
    assert process.wait(10) == -9
    group.remove()
    assert not os.path.exists(directory)


def test_a_group_of_an_earlier_start_is_not_used_again(group: ControlGroup):
    (directory,) = group.directories.values()
    before = os.stat(directory).st_ino
    cgroup.make(group, [""])
    assert os.stat(directory).st_ino != before


def test_a_program_rules_devices_where_version_1_does_not():
    found = [item for item in own_hierarchies() if not item.controllers]
    made = cgroup.make(cgroup.planned(found, f"test-{os.getpid()}", []), [])
    if not made:
        pytest.skip("the kernel has no version 2 here")
    try:
        if not devicerules.enforce(made, (*DEFAULT_RULES, DeviceRule("c", 10, 229, "r"))):
            pytest.skip("bpf(2) is not allowed here")
        script = (
            "cat /dev/null && echo null >&3; (exec 4</dev/fuse) && echo read >&3; "
            "(exec 4>/dev/fuse) && echo wrote >&3; (exec 4</dev/loop-control) && echo loop >&3; :"
        )
        joins = "; ".join(f"echo $$ > {file}" for file in made.join_files)
        ran = subprocess.run(
            ["sh", "-c", f"exec 3>&1; {joins}; {script}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        allowed = ["null"] + ["read"] * os.path.exists("/dev/fuse")
        assert ran.stdout.split() == allowed
    finally:
        made.remove()
