"""Finding control groups in what /proc says."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.sandbox.cgroup import ControlGroup, Hierarchy, directory_of, usable_hierarchies

HYBRID = """\
24 22 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw
25 24 0:21 / /sys/fs/cgroup/cpu rw shared:5 - cgroup cgroup rw,cpu
26 24 0:22 /docker/x /sys/fs/cgroup/free\\040zer rw - cgroup cgroup rw,freezer
27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
MEMBERSHIPS = "3:freezer:/docker/x/own\n1:cpu:/c\n0::/user.slice\n"


def test_version_2_comes_before_the_freezer_of_version_1():
    assert usable_hierarchies(HYBRID) == (
        Hierarchy("/sys/fs/cgroup/unified", "/", unified=True),
        Hierarchy("/sys/fs/cgroup/free zer", "/docker/x", unified=False),
    )


def test_a_group_is_found_relative_to_what_is_mounted():
    unified, freezer = usable_hierarchies(HYBRID)
    assert directory_of(unified, MEMBERSHIPS) == "/sys/fs/cgroup/unified/user.slice"
    assert directory_of(freezer, MEMBERSHIPS) == "/sys/fs/cgroup/free zer/own"


def test_a_group_outside_of_what_is_mounted_has_no_directory():
    _, freezer = usable_hierarchies(HYBRID)
    assert directory_of(freezer, "3:freezer:/elsewhere\n") is None
    assert directory_of(freezer, "0::/\n") is None


def test_removing_a_group_that_is_gone_is_no_error(tmp_path: Path):
    ControlGroup(str(tmp_path / "missing"), unified=True).remove()
    (tmp_path / "there").mkdir()
    ControlGroup(str(tmp_path / "there"), unified=True).remove()
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("unified", "name"), [(True, "cgroup.freeze"), (False, "freezer.state")])
def test_freezing_writes_what_the_version_asks_for(tmp_path: Path, unified: bool, name: str):
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    ControlGroup(str(tmp_path), unified).freeze()
    assert (tmp_path / name).read_text() == ("1" if unified else "FROZEN")
