"""What a group's files say that it uses."""

from __future__ import annotations

from pathlib import Path

from builder.kernel.cgroup import ControlGroup
from builder.sandbox.groupusage import GroupUsage, group_usage


def test_version_1_has_a_file_for_each_figure(tmp_path: Path):
    files = {
        "memory": {
            "memory.usage_in_bytes": "5000\n",
            "memory.stat": "inactive_file 1\ntotal_inactive_file 1000\n",
            "memory.limit_in_bytes": "9000\n",
        },
        "cpuacct": {"cpuacct.usage": "123456789\n"},
        "pids": {"pids.current": "3\n"},
        "blkio": {
            "blkio.throttle.io_service_bytes_recursive": (
                "8:0 Read 512\n8:0 Write 1024\n8:0 Total 1536\n9:0 Read 8\nTotal 1544\n"
            )
        },
    }
    for controller, texts in files.items():
        (tmp_path / controller).mkdir()
        for name, text in texts.items():
            (tmp_path / controller / name).write_text(text)
    group = ControlGroup({name: str(tmp_path / name) for name in files})
    assert group_usage(group) == GroupUsage(123456789, 4000, 9000, 3, 520, 1024)


def test_version_2_has_them_in_one_directory(tmp_path: Path):
    texts = {
        "memory.current": "5000\n",
        "memory.stat": "anon 5\ninactive_file 1000\n",
        "memory.max": "max\n",
        "cpu.stat": "usage_usec 7\nuser_usec 5\n",
        "pids.current": "3\n",
        "io.stat": "8:0 rbytes=512 wbytes=1024 rios=1\n9:0 rbytes=8 wbytes=0\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    group = ControlGroup({"": str(tmp_path)})
    assert group_usage(group) == GroupUsage(7000, 4000, None, 3, 520, 1024)


def test_what_is_counted_nowhere_is_not_known(tmp_path: Path):
    nothing = GroupUsage(None, None, None, None, 0, 0)
    assert group_usage(ControlGroup({})) == nothing
    assert group_usage(ControlGroup({"": str(tmp_path / "gone")})) == nothing
