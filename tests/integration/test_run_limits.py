"""Limits of containers, seen from inside and from the files of their control groups."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, running, wait_until
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

MIB = 1 << 20
FOREVER = "echo ready; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def limiting(box: Pybuild) -> Pybuild:
    """Where limits can be set: version 1 or 2 with its controllers."""
    done = box("run", "--rm", "-m", "64m", "--pids-limit", "50", "--cpus", "1", "box", "true")
    if done.status != 0:
        assert box.is_rootless or not has_controllers(), done.stderr
        pytest.skip("this user may limit nothing here")
    return box


def has_controllers() -> bool:
    return "memory" in Path("/proc/self/cgroup").read_text() and os.access(own_group("memory"), 2)


def own_group(controller: str, pid: str = "self") -> Path:
    """The directory of a process's group that has the controller, in either version."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path("/sys/fs/cgroup", names, path.lstrip("/"))
    return Path("/sys/fs/cgroup", path.lstrip("/"))


def from_outside(box: Pybuild, name: str, controller: str, *files: str) -> list[str]:
    pid = box("inspect", "-f", "{{.State.Pid}}", name).ok().stdout.strip()
    group = own_group(controller, pid)
    assert group.name.startswith("pybuild-")
    return [(group / file).read_text().strip() for file in files if (group / file).exists()]


def test_a_process_that_needs_more_memory_than_allowed_is_killed(limiting: Pybuild):
    hungry = 'x=$(head -c 60000000 /dev/zero | tr "\\0" x); echo survived'
    args = ("-m", "20m", "--memory-swap", "20m", "box", "sh", "-c", hungry)
    done = limiting("run", "--name", "hungry", *args)
    assert (done.status, done.stdout) == (137, "")
    shown = "{{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}}"
    assert limiting("inspect", "-f", shown, "hungry").stdout == f"true 137 {20 * MIB}\n"
    limiting("rm", "hungry").ok()


def test_a_container_that_ended_by_itself_was_not_killed_for_memory(limiting: Pybuild):
    limiting("run", "--name", "modest", "-m", "20m", "box", "sh", "-c", "exit 137")
    assert limiting("inspect", "-f", "{{.State.OOMKilled}}", "modest").stdout == "false\n"
    limiting("rm", "modest").ok()


def test_no_more_processes_start_than_allowed(limiting: Pybuild):
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all"
    done = limiting("run", "--rm", "--pids-limit", "4", "box", "sh", "-c", script)
    assert "all" not in done.stdout
    assert "can't fork" in done.stderr
    assert limiting("run", "--rm", "--pids-limit", "-1", "box", "sh", "-c", script).status == 0


def test_a_quota_and_a_share_of_the_processors_are_as_asked_for(limiting: Pybuild):
    options = ("--name", "slow", "--cpus", "0.25", "-c", "512")
    with running(limiting, *options, "box", "sh", "-c", FOREVER):
        found = from_outside(limiting, "slow", "cpu", "cpu.cfs_quota_us", "cpu.shares", "cpu.max")
        assert found in (["25000", "512"], ["25000 100000"])


def test_a_quota_holds_a_busy_process_back(limiting: Pybuild):
    busy = "echo ready; while :; do :; done"
    with running(limiting, "--name", "busy", "--cpus", "0.2", "box", "sh", "-c", busy):
        wait_until(lambda: throttled(limiting, "busy") > 0)


def throttled(box: Pybuild, name: str) -> int:
    (text,) = from_outside(box, name, "cpu", "cpu.stat")
    return int(dict(line.split() for line in text.splitlines())["nr_throttled"])


def test_processors_and_memory_nodes_are_those_asked_for(limiting: Pybuild):
    args = ("--cpuset-cpus", "0", "--cpuset-mems", "0", "box", "grep", "_allowed_list")
    done = limiting("run", "--rm", *args, "/proc/self/status").ok()
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["0", "0"]


def test_memory_and_swap_are_as_asked_for_outside_and_inside(limiting: Pybuild):
    options = ("-m", "32m", "--memory-swap", "48m", "--memory-reservation", "16m")
    with running(limiting, "--name", "sized", *options, "box", "sh", "-c", FOREVER):
        found = from_outside(
            *(limiting, "sized", "memory"),
            *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"),
            *("memory.max", "memory.swap.max", "memory.low"),
        )
        memory, swap, reservation = map(int, found)
        assert (memory, reservation) == (32 * MIB, 16 * MIB)
        assert swap in {48 * MIB, 16 * MIB}  # version 1 counts both, version 2 the swap
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>&-; true"
    done = limiting("run", "--rm", "-m", "32m", "box", "sh", "-c", script)
    assert done.stdout == f"{32 * MIB}\n"


def a_disk() -> str | None:
    for path in sorted(Path("/sys/block").glob("*")):
        node = Path("/dev", path.name)
        size = int((path / "size").read_text())
        if size and node.exists() and stat.S_ISBLK(node.stat().st_mode):
            return str(node)
    return None


def test_a_disk_is_read_and_written_as_slowly_as_asked_for(limiting: Pybuild):
    disk = a_disk()
    if disk is None:
        pytest.skip("no disk")
    options = ("--device-read-bps", f"{disk}:1m", "--device-write-iops", f"{disk}:100")
    with running(limiting, "--name", "slow-disk", *options, "box", "sh", "-c", FOREVER):
        files = ("blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device", "io.max")
        found = " ".join(from_outside(limiting, "slow-disk", "blkio", *files))
        info = os.stat(disk).st_rdev
        assert f"{os.major(info)}:{os.minor(info)} " in found
        assert str(MIB) in found
        assert "100" in found


def test_a_parent_may_be_named_and_stays(limiting: Pybuild):
    parent = "/pybuild-test-parent"
    options = ("--name", "below", "--cgroup-parent", parent, "-m", "32m")
    with running(limiting, *options, "box", "sh", "-c", FOREVER):
        pid = limiting("inspect", "-f", "{{.State.Pid}}", "below").ok().stdout.strip()
        group = own_group("memory", pid)
        assert group.parent.name == parent.removeprefix("/")
    for made in Path("/sys/fs/cgroup").glob(f"**{parent}"):
        made.rmdir()  # empty: nothing of the container's is left below


def test_how_soon_the_kernel_kills_a_process_is_told_to_it(box: Pybuild):
    script = "cat /proc/self/oom_score_adj"
    done = box("run", "--rm", "--oom-score-adj", "321", "box", "sh", "-c", script).ok()
    assert done.stdout == "321\n"


def test_an_update_changes_the_limits_of_a_container_that_runs(limiting: Pybuild):
    options = ("--name", "updated", "-m", "32m", "--memory-swap", "64m")
    with running(limiting, *options, "box", "sh", "-c", FOREVER):
        changes = ("-m", "48m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "33")
        limiting("update", *changes, "updated").ok()
        files = ("memory.limit_in_bytes", "memory.max")
        assert from_outside(limiting, "updated", "memory", *files) == [str(48 * MIB)]
        files = ("cpu.cfs_quota_us", "cpu.max")
        assert from_outside(limiting, "updated", "cpu", *files) in (["50000"], ["50000 100000"])
        assert from_outside(limiting, "updated", "cpuset", "cpuset.cpus") == ["0"]
        assert from_outside(limiting, "updated", "pids", "pids.max") == ["33"]
        shown = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
        after = limiting("inspect", "-f", shown, "updated").ok().stdout
        assert after == f"{48 * MIB} 500000000 33\n"
        assert limiting("update", "-m", "1g", "updated").status != 0  # above memory and swap
    limiting("rm", "-f", "updated").ok()


def test_what_exec_starts_is_limited_with_the_container(limiting: Pybuild):
    with running(limiting, "--name", "shared", "-m", "20m", "box", "sh", "-c", FOREVER):
        hungry = 'x=$(head -c 60000000 /dev/zero | tr "\\0" x); echo survived'
        done = limiting("exec", "shared", "sh", "-c", hungry)
        assert (done.status, done.stdout) == (137, "")
        node = "mknod /disk b 7 0 && head -c 1 /disk"
        assert limiting("exec", "shared", "sh", "-c", node).status != 0
    limiting("rm", "-f", "shared").ok()


OPTIONS = [
    ("-m", "64m"), ("--memory-reservation", "64m"), ("--memory-swappiness", "1"),
    ("--oom-kill-disable",), ("--cpus", "1"), ("-c", "512"), ("--cpu-quota", "5000"),
    ("--cpuset-cpus", "0"), ("--pids-limit", "10"), ("--blkio-weight", "100"),
    ("--cgroup-parent", "/pybuild-test-parent"),
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option[0])
def test_a_limit_is_set_or_it_is_an_error_that_names_it(box: Pybuild, option: tuple[str, ...]):
    done = box("run", "--rm", *option, "box", "echo", "ran")
    if done.status == 0:
        assert done.stdout == "ran\n"
        for made in Path("/sys/fs/cgroup").glob("**/pybuild-test-parent"):
            made.rmdir()
        return
    assert (done.status, done.stdout) == (125, "")
    long_names = {"-m": "--memory", "-c": "--cpu-shares"}
    assert f"{long_names.get(option[0], option[0])} " in done.stderr
    assert "hint: " in done.stderr
    assert box("ps", "-aq").stdout == ""


def test_what_no_machine_can_do_is_refused_before_anything_is_made(box: Pybuild):
    for options in (("-m", "1m"), ("--cpus", "4096"), ("--cpuset-cpus", "4000")):
        assert box("run", "--rm", *options, "box", "true").status == 125
    assert box("ps", "-aq").stdout == ""
