"""The control group of a build's step: made, locked, removed, also after a kill."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from pathlib import Path

import pytest

from builder.kernel.cgroup import ControlGroup
from builder.sandbox import cgroup, steplimits
from builder.sandbox.errors import LimitError
from builder.sandbox.grouplimits import GroupLimits
from builder.sandbox.steplimits import StepLimits, step_group

LIMITED = StepLimits(GroupLimits(pids=5))


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that takes the part of version 1's hierarchy of pids."""

    def plan(name: str, _: Collection[str], **__: object) -> ControlGroup:
        return ControlGroup({"pids": str(tmp_path / f"pybuild-{name}")})

    def make(group: ControlGroup, _: Collection[str], **__: object) -> ControlGroup:
        for directory in group.directories.values():
            os.mkdir(directory)
        return group

    monkeypatch.setattr(cgroup, "plan", plan)
    monkeypatch.setattr(cgroup, "make", make)
    monkeypatch.setattr(steplimits.grouplimits, "apply", lambda *_: None)
    monkeypatch.setattr(steplimits, "_MAKING_S", -1.0)
    return tmp_path


def test_without_limits_there_is_no_group(hierarchy: Path):
    with step_group(StepLimits()) as group:
        assert not group
        assert list(hierarchy.iterdir()) == []


def test_a_group_is_there_as_long_as_the_step(hierarchy: Path):
    with step_group(LIMITED) as group:
        (made,) = hierarchy.iterdir()
        assert group.directory_of("pids") == str(made)
    assert list(hierarchy.iterdir()) == []


def test_the_group_of_a_killed_build_is_removed_by_the_next(hierarchy: Path):
    (hierarchy / "pybuild-build-dead").mkdir()
    (hierarchy / "pybuild-container").mkdir()
    with step_group(LIMITED):
        pass
    assert [path.name for path in hierarchy.iterdir()] == ["pybuild-container"]


def test_the_groups_of_other_builds_are_left_alone(hierarchy: Path):
    other = hierarchy / "pybuild-build-other"
    other.mkdir()
    fd = os.open(other, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with step_group(LIMITED), step_group(LIMITED):
        assert len(list(hierarchy.iterdir())) == 3
    os.close(fd)
    assert [path.name for path in hierarchy.iterdir()] == ["pybuild-build-other"]


def test_a_limit_that_cannot_be_set_leaves_no_group(
    hierarchy: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise LimitError("--pids-limit cannot be set")

    monkeypatch.setattr(steplimits.grouplimits, "apply", refuse)
    with pytest.raises(LimitError), step_group(LIMITED):
        raise AssertionError("the block is not entered")
    assert list(hierarchy.iterdir()) == []
