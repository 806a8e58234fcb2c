"""What is written into a group's files, in both versions, and what cannot be."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.kernel.cgroup import ControlGroup
from builder.sandbox import grouplimits
from builder.sandbox.errors import LimitError
from builder.sandbox.grouplimits import DeviceRate, GroupLimits, controllers_of, settings

MIB = 1 << 20


def written(version: int, **fields: object) -> dict[str, str]:
    limits = GroupLimits(**fields)  # type: ignore[arg-type]
    found = settings(limits, lambda _: version, lambda *_: "8:0")
    return {setting.file: setting.text for setting in found}


CASES = [
    ({"memory_bytes": 64 * MIB},
     {"memory.limit_in_bytes": f"{64 * MIB}", "memory.memsw.limit_in_bytes": f"{128 * MIB}"},
     {"memory.max": f"{64 * MIB}", "memory.swap.max": f"{64 * MIB}"}),
    ({"memory_bytes": 64 * MIB, "memory_swap_bytes": 65 * MIB},
     {"memory.limit_in_bytes": f"{64 * MIB}", "memory.memsw.limit_in_bytes": f"{65 * MIB}"},
     {"memory.max": f"{64 * MIB}", "memory.swap.max": f"{MIB}"}),
    ({"memory_bytes": 64 * MIB, "memory_swap_bytes": -1},
     {"memory.limit_in_bytes": f"{64 * MIB}", "memory.memsw.limit_in_bytes": "-1"},
     {"memory.max": f"{64 * MIB}", "memory.swap.max": "max"}),
    ({"memory_reservation_bytes": 1},
     {"memory.soft_limit_in_bytes": "1"}, {"memory.low": "1"}),
    ({"nano_cpus": 1_500_000_000},
     {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}, {"cpu.max": "150000 100000"}),
    ({"cpu_quota_us": -1}, {"cpu.cfs_quota_us": "-1"}, {"cpu.max": "max 100000"}),
    ({"cpu_period_us": 5000}, {"cpu.cfs_period_us": "5000"}, {"cpu.max": "max 5000"}),
    ({"cpu_quota_us": 2000, "cpu_period_us": 5000},
     {"cpu.cfs_quota_us": "2000", "cpu.cfs_period_us": "5000"}, {"cpu.max": "2000 5000"}),
    ({"cpu_shares": 1024}, {"cpu.shares": "1024"}, {"cpu.weight": "39"}),
    ({"cpu_shares": 262_144}, {"cpu.shares": "262144"}, {"cpu.weight": "10000"}),
    ({"cpu_shares": 1}, {"cpu.shares": "1"}, {"cpu.weight": "1"}),
    ({"cpuset_cpus": "0-1", "cpuset_mems": "0"},
     {"cpuset.cpus": "0-1", "cpuset.mems": "0"}, {"cpuset.cpus": "0-1", "cpuset.mems": "0"}),
    ({"pids": 20}, {"pids.max": "20"}, {"pids.max": "20"}),
    ({"pids": -1}, {"pids.max": "max"}, {"pids.max": "max"}),
    ({"blkio_weight": 10}, {"blkio.weight": "10"}, {"io.weight": "default 1"}),
    ({"blkio_weight": 1000}, {"blkio.weight": "1000"}, {"io.weight": "default 10000"}),
    ({"device_write_bps": (DeviceRate("/dev/x", 5),)},
     {"blkio.throttle.write_bps_device": "8:0 5"}, {"io.max": "8:0 wbps=5"}),
    ({"device_read_iops": (DeviceRate("/dev/x", 5),)},
     {"blkio.throttle.read_iops_device": "8:0 5"}, {"io.max": "8:0 riops=5"}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "version_1", "version_2"), CASES)
def test_each_limit_is_written_as_its_version_has_it(
    fields: dict[str, object], version_1: dict[str, str], version_2: dict[str, str]
):
    assert written(1, **fields) == version_1
    assert written(2, **fields) == version_2
    assert len(controllers_of(GroupLimits(**fields))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{"memory_swappiness": 0}, {"oom_kill_disable": True}])
def test_what_version_2_has_not_is_an_error_and_not_left_out(fields: dict[str, object]):
    assert len(written(1, **fields)) == 1
    with pytest.raises(LimitError, match="version 2"):
        written(2, **fields)


def test_no_limits_need_nothing():
    assert controllers_of(GroupLimits()) == ()
    grouplimits.apply(ControlGroup({}), GroupLimits())


def version_2_group(tmp_path: Path, controllers: str, *files: str) -> ControlGroup:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    for file in files:
        (tmp_path / file).touch()
    return ControlGroup({"": str(tmp_path)})


def test_limits_end_up_in_the_files_of_version_2(tmp_path: Path):
    group = version_2_group(tmp_path, "cpu memory pids", "memory.max", "cpu.max", "pids.max")
    limits = GroupLimits(memory_bytes=8 * MIB, nano_cpus=500_000_000, pids=3)
    grouplimits.apply(group, limits)
    # without swap there is no memory.swap.max, and nobody asked for it
    assert (tmp_path / "memory.max").read_text() == str(8 * MIB)
    assert (tmp_path / "cpu.max").read_text() == "50000 100000"
    assert (tmp_path / "pids.max").read_text() == "3"


def test_swap_that_is_not_counted_is_an_error_where_it_was_asked_for(tmp_path: Path):
    group = version_2_group(tmp_path, "memory", "memory.max")
    limits = GroupLimits(memory_bytes=8 * MIB, memory_swap_bytes=9 * MIB)
    with pytest.raises(LimitError, match=r"--memory-swap .* memory.swap.max"):
        grouplimits.apply(group, limits)


def test_a_controller_that_is_not_there_is_named_with_what_to_do(tmp_path: Path):
    group = version_2_group(tmp_path, "memory")
    with pytest.raises(LimitError, match=r"--cpus .*controller cpu") as caught:
        grouplimits.apply(group, GroupLimits(nano_cpus=1))
    assert "Delegate=yes" in (caught.value.hint or "")
    with pytest.raises(LimitError, match="--pids-limit"):
        grouplimits.apply(ControlGroup({}), GroupLimits(pids=1))


def test_weights_are_those_of_the_scheduler_bfq_where_there_are_no_others(tmp_path: Path):
    (tmp_path / "blkio.bfq.weight").touch()
    grouplimits.apply(ControlGroup({"blkio": str(tmp_path)}), GroupLimits(blkio_weight=300))
    assert (tmp_path / "blkio.bfq.weight").read_text() == "300"


@pytest.mark.parametrize(
    ("before", "order"),
    [(100 * MIB, ["memsw", "limit"]), (1000 * MIB, ["limit", "memsw"])],
)
def test_memory_never_passes_memory_and_swap_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, order: list[str]
):
    (tmp_path / "memory.memsw.limit_in_bytes").write_text(f"{before}\n")
    wrote: list[str] = []
    monkeypatch.setattr(
        grouplimits, "_write", lambda _, setting: wrote.append(setting.file.split(".")[1])
    )
    limits = GroupLimits(memory_bytes=200 * MIB, memory_swap_bytes=300 * MIB)
    grouplimits.apply(ControlGroup({"memory": str(tmp_path)}), limits)
    assert [name.removesuffix("_in_bytes") for name in wrote] == order


def test_the_number_of_a_device_is_that_of_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    disk = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=(8 << 8) | 1)
    (tmp_path / "blkio.throttle.read_bps_device").touch()
    limits = GroupLimits(device_read_bps=(DeviceRate("/dev/null", 7),))
    group = ControlGroup({"blkio": str(tmp_path)})
    with pytest.raises(LimitError, match="no block device"):
        grouplimits.apply(group, limits)
    monkeypatch.setattr(grouplimits.os, "stat", lambda _: disk)
    grouplimits.apply(group, limits)
    assert (tmp_path / "blkio.throttle.read_bps_device").read_text() == "8:1 7"


def test_what_the_kernel_refuses_is_told_with_the_reason(tmp_path: Path):
    (tmp_path / "pids.max").mkdir()
    with pytest.raises(LimitError, match=r"--pids-limit cannot be set: .* \(pids.max: 3\)"):
        grouplimits.apply(ControlGroup({"pids": str(tmp_path)}), GroupLimits(pids=3))
