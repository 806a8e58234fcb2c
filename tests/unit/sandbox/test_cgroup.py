"""Finding hierarchies in what /proc says, and making groups in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.kernel.cgroup import ControlGroup
from builder.sandbox import cgroup
from builder.sandbox.cgroup import Hierarchy, hierarchies, planned

VERSION_1 = """\
24 22 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw
25 24 0:21 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
26 24 0:22 / /sys/fs/cgroup/free\\040zer rw - cgroup cgroup rw,freezer
28 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
29 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED_TOO = "27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
VERSION_2 = "27 24 0:23 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
MEMBERSHIPS_1 = "4:memory:/own/m\n3:freezer:/\n2:name=systemd:/x\n1:cpu,cpuacct:/c\n"


def test_each_controller_of_version_1_has_its_own_place():
    assert hierarchies(VERSION_1, MEMBERSHIPS_1) == (
        Hierarchy("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/c"),
        Hierarchy("freezer", "/sys/fs/cgroup/free zer", "/sys/fs/cgroup/free zer"),
        Hierarchy("memory", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/own/m"),
    )


def test_version_2_comes_first_in_a_hybrid():
    first, *others = hierarchies(VERSION_1 + UNIFIED_TOO, MEMBERSHIPS_1 + "0::/u\n")
    assert first == Hierarchy("", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/u")
    assert [item.controllers for item in others] == ["cpu,cpuacct", "freezer", "memory"]


def test_version_2_alone_is_one_hierarchy():
    scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"
    assert hierarchies(VERSION_2, f"0::{scope}\n") == (
        Hierarchy("", "/sys/fs/cgroup", f"/sys/fs/cgroup{scope}"),
    )


def test_a_container_around_sees_its_own_part_of_a_hierarchy():
    nested = "28 24 0:24 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    (found,) = hierarchies(nested, "4:memory:/docker/x/own\n")
    assert found.own_dir == "/sys/fs/cgroup/memory/own"
    assert hierarchies(nested, "4:memory:/elsewhere\n") == ()
    assert hierarchies(VERSION_2, "0::/../../init.scope\n") == ()  # outside of the namespace


def test_a_mount_of_a_hierarchy_that_nothing_is_said_about_is_left_out():
    assert hierarchies(VERSION_2, "") == ()
    assert hierarchies("", "0::/\n") == ()
    assert hierarchies("nonsense\n- -\n1 2 3\n", "nonsense\n::\n:::\n") == ()


@given(st.text(), st.text())
def test_whatever_the_files_say_they_can_be_read(mountinfo: str, memberships: str):
    for item in hierarchies(mountinfo, memberships):
        assert os.path.isabs(item.own_dir)


@given(
    st.lists(st.sampled_from(("memory", "pids", "cpu", "blkio")), unique=True),
    st.text("abc/", max_size=8),
)
def test_every_controller_of_both_files_is_found_where_they_say(names: list[str], path: str):
    own = os.path.normpath(f"/{path}").replace("//", "/")
    mountinfo = "".join(f"1 1 0:1 / /c/{n} rw - cgroup cgroup rw,{n}\n" for n in names)
    memberships = "".join(f"1:{n}:{own}\n" for n in names)
    found = {item.controllers: item.own_dir for item in hierarchies(mountinfo, memberships)}
    assert found == {name: os.path.normpath(f"/c/{name}{own}") for name in names}


def version_1(tmp_path: Path, *names: str) -> tuple[Hierarchy, ...]:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    return tuple(Hierarchy(name, str(tmp_path / name), str(tmp_path / name)) for name in names)


def version_2(tmp_path: Path, *, offered: str, shared: str, root: bool) -> Hierarchy:
    (tmp_path / "cgroup.controllers").write_text(offered)
    (tmp_path / "cgroup.subtree_control").write_text(shared)
    (tmp_path / "cgroup.procs").write_text("")
    if not root:
        (tmp_path / "cgroup.type").write_text("domain\n")
    own = tmp_path / "own.scope"
    own.mkdir()
    for file in tmp_path.glob("cgroup.*"):
        (own / file.name).write_text(file.read_text())
    (own / "cgroup.type").write_text("domain\n")
    return Hierarchy("", str(tmp_path), str(own))


def test_a_group_has_no_part_in_hierarchies_that_nobody_needs(tmp_path: Path):
    found = version_1(tmp_path, "cpu", "freezer", "memory")
    assert planned(found, "x", ["memory"]).directories == {
        "freezer": f"{tmp_path}/freezer/pybuild-x",  # to kill and to pause
        "memory": f"{tmp_path}/memory/pybuild-x",
    }


def test_a_parent_is_a_path_below_the_roots(tmp_path: Path):
    found = version_1(tmp_path, "memory", "freezer")
    group = planned(found, "x", ["memory"], parent="/a/b")
    assert group.directories["memory"] == f"{tmp_path}/memory/a/b/pybuild-x"
    for wrong in ("/a/../b", "..", "/", "a/./b"):
        with pytest.raises(UsageError):
            planned(found, "x", ["memory"], parent=wrong)


def test_who_may_not_write_to_a_hierarchy_gets_no_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = version_1(tmp_path, "memory")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not planned(found, "x", ["memory"])


def test_without_limits_a_group_of_version_2_lies_below_the_own_one(tmp_path: Path):
    found = version_2(tmp_path, offered="memory pids", shared="memory pids", root=True)
    assert planned([found], "x", ["memory"]).unified == f"{tmp_path}/own.scope/pybuild-x"


def test_what_is_counted_needs_controllers_too(tmp_path: Path):
    found = version_2(tmp_path, offered="memory pids", shared="memory", root=True)
    assert planned([found], "x", ["memory"]).unified == f"{tmp_path}/own.scope/pybuild-x"
    assert planned([found], "x", ["pids"]).unified == f"{tmp_path}/pybuild-x"
    assert planned([found], "x", ["blkio"]).unified == f"{tmp_path}/own.scope/pybuild-x"


def test_with_limits_it_lies_below_the_root_of_all_unless_the_own_one_hands_on(tmp_path: Path):
    found = version_2(tmp_path, offered="memory pids", shared="", root=True)
    limited = planned([found], "x", [], required=["memory"])
    assert limited.unified == f"{tmp_path}/pybuild-x"
    (tmp_path / "own.scope" / "cgroup.subtree_control").write_text("memory")
    limited = planned([found], "x", [], required=["memory"])
    assert limited.unified == f"{tmp_path}/own.scope/pybuild-x"


def test_a_delegated_group_hands_on_what_is_needed(tmp_path: Path):
    found = version_2(tmp_path, offered="cpu io memory pids", shared="", root=False)
    group = planned([found], "x", ["pids"], required=["blkio"])
    assert group.unified == f"{tmp_path}/own.scope/pybuild-x"
    made = cgroup.make(group, (), required=["blkio"])
    assert not made  # the kernel would have made cgroup.procs; the directory is there
    written = (tmp_path / "own.scope" / "cgroup.subtree_control").read_text()
    assert written == "+io"


def test_who_was_moved_aside_makes_groups_beside_itself(tmp_path: Path):
    aside = tmp_path / "own" / "pybuild-command"
    aside.mkdir(parents=True)
    group = planned([Hierarchy("", str(tmp_path), str(aside))], "x", [])
    assert group.unified == f"{tmp_path}/own/pybuild-x"


def test_what_a_group_has_not_got_is_known(tmp_path: Path):
    (tmp_path / "cgroup.controllers").write_text("io pids\n")
    group = ControlGroup({"": str(tmp_path), "cpu,cpuacct": "/c"})
    names = ("blkio", "memory", "cpu", "pids", "cpuset")
    assert cgroup.missing(group, names) == ("memory", "cpuset")


def test_a_group_of_cpusets_begins_with_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (found,) = version_1(tmp_path, "cpuset")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    mkdir = os.mkdir

    def with_files(path: str) -> None:
        mkdir(path)
        for name in ("cpuset.cpus", "cpuset.mems", "cgroup.procs"):
            Path(path, name).write_text("")

    monkeypatch.setattr(os, "mkdir", with_files)
    made = cgroup.make(planned([found], "x", ["cpuset"], parent="/a"), ["cpuset"])
    assert made.directory_of("cpuset") == f"{tmp_path}/cpuset/a/pybuild-x"
    assert Path(made.directory_of("cpuset"), "cpuset.cpus").read_text() == "0-3"
