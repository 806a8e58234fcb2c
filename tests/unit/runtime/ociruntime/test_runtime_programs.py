"""Which program a container runs through, and how it is told of the control group."""

from __future__ import annotations

import pytest

from builder.errors import UnsupportedError
from builder.kernel.cgroup import ControlGroup
from builder.runtime.ociruntime.programs import (
    CgroupPlace,
    RuntimeMissingError,
    cgroup_place,
    checked_runtime,
    global_options,
    has_own_device_rules,
    program_path,
)

V1 = ControlGroup({"memory": "/sys/fs/cgroup/memory/x/pybuild-id", "pids": "/nowhere"})
V2 = ControlGroup({"": "/sys/fs/cgroup/x/pybuild-id"})


def test_a_runtime_is_known_by_name_or_lies_at_an_absolute_path():
    assert checked_runtime("pybuild") == ""
    assert checked_runtime("runc") == "runc"
    assert checked_runtime("/opt/mine") == "/opt/mine"


@pytest.mark.parametrize("text", ["", "docker", "./runc", "../crun"])
def test_other_words_are_no_runtime(text: str):
    with pytest.raises(UnsupportedError):
        checked_runtime(text)


def test_the_first_program_on_the_path_is_it(tmp_path):
    program = tmp_path / "runc"
    program.write_text("")
    with pytest.raises(RuntimeMissingError):
        program_path(str(program), {})
    program.chmod(0o755)
    environment = {"PATH": f"relative:/nowhere:{tmp_path}"}
    assert program_path("runc", environment) == str(program)
    assert program_path(str(program), {}) == str(program)


def test_a_program_that_is_nowhere_is_missing():
    with pytest.raises(RuntimeMissingError):
        program_path("runsc-of-nobody", {"PATH": "/nowhere"})


def test_in_version_2_the_runtime_makes_the_group_itself():
    assert cgroup_place("/usr/bin/crun", V2, "id") == CgroupPlace(path="/x/pybuild-id")
    assert cgroup_place("/usr/sbin/runc", V2, "id") == CgroupPlace(path="/x/pybuild-id")


def test_in_version_1_runc_makes_a_group_below_and_crun_stays_where_it_is():
    place = cgroup_place("/usr/sbin/runc", V1, "id")
    assert place == CgroupPlace(path="pybuild-id", join_files=V1.join_files)
    crun = cgroup_place("/usr/bin/crun", V1, "id")
    assert crun == CgroupPlace(("--cgroup-manager=disabled",), join_files=V1.join_files)


def test_without_a_group_the_runtime_is_told_of_none():
    assert cgroup_place("/usr/sbin/runc", ControlGroup({}), "id") == CgroupPlace()


def test_runc_is_told_that_root_is_a_user_namespaces():
    assert global_options("/usr/sbin/runc", rootless=True) == ("--rootless=true",)
    assert global_options("/usr/sbin/runc", rootless=False) == ()
    assert global_options("/usr/bin/crun", rootless=True) == ()


def test_crun_without_groups_of_its_own_has_no_rules_for_devices_either():
    assert [has_own_device_rules(text) for text in ("", "runc", "/x/crun")] == [False, True, False]
