"""What a control group does with its directories, in made-up ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.kernel.cgroup import ControlGroup


def test_a_group_is_the_same_after_it_was_written_down():
    group = ControlGroup({"": "/u/x", "cpu,cpuacct": "/with:colon", "memory": "/m"})
    assert ControlGroup.of_texts(group.texts) == group
    assert ControlGroup.of_texts(()) == ControlGroup({})
    assert not ControlGroup({})


def test_a_controller_is_found_among_those_of_its_hierarchy():
    group = ControlGroup({"cpu,cpuacct": "/c", "memory": "/m"})
    assert group.directory_of("cpuacct") == "/c"
    assert group.directory_of("cpuset") == ""


def test_a_group_is_joined_where_it_was_made(tmp_path: Path):
    (tmp_path / "made").mkdir()
    group = ControlGroup({"memory": str(tmp_path / "made"), "blkio": str(tmp_path / "planned")})
    assert group.join_files == (f"{tmp_path}/made/cgroup.procs",)
    assert group.existing() == ControlGroup({"memory": str(tmp_path / "made")})


def test_removing_takes_what_was_made_below_and_minds_nothing_that_is_gone(tmp_path: Path):
    (tmp_path / "there" / "a" / "b").mkdir(parents=True)
    group = ControlGroup({"": str(tmp_path / "missing"), "memory": str(tmp_path / "there")})
    group.remove()
    assert list(tmp_path.iterdir()) == []
    group.remove()


def test_removing_gives_up_after_a_while(tmp_path: Path):
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").touch()
    with pytest.raises(OSError, match="not empty"):
        ControlGroup({"": str(tmp_path / "busy")}).remove(0.01)


@pytest.mark.parametrize(("names", "file"), [("", "cgroup.freeze"), ("freezer", "freezer.state")])
def test_freezing_writes_what_the_version_asks_for(tmp_path: Path, names: str, file: str):
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    group = ControlGroup({names: str(tmp_path)})
    assert group.can_freeze
    group.freeze()
    assert (tmp_path / file).read_text() == ("FROZEN" if names else "1")
    assert group.frozen


def test_all_processes_are_those_of_groups_below_too(tmp_path: Path):
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "below" / "cgroup.procs").write_text("3\n")
    assert ControlGroup({"pids": str(tmp_path)}).processes() == (1, 2, 3)
    assert ControlGroup({}).processes() == ()


def test_killing_takes_one_write_where_the_kernel_can(tmp_path: Path):
    (tmp_path / "cgroup.kill").touch()
    ControlGroup({"": str(tmp_path)}).kill_all()
    assert (tmp_path / "cgroup.kill").read_text() == "1"


def test_kills_for_want_of_memory_are_counted_in_both_versions(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "below").mkdir(parents=True)
    two.mkdir()
    for directory in (one, one / "below"):
        (directory / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 2\n")
    (two / "memory.events").write_text("low 0\noom 5\noom_kill 3\noom_group_kill 0\n")
    assert ControlGroup({"memory": str(one), "": str(two)}).oom_kills() == 4
    assert ControlGroup({"": str(two)}).oom_kills() == 3
    assert ControlGroup({"pids": "/nowhere"}).oom_kills() == 0
