"""Limits of RUN steps, as root and rootless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.pybuild import Pybuild, pybuild_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

HUNGRY = 'x=$(head -c 60000000 /dev/zero | tr "\\0" x); echo survived'
MEMORY = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>&-"


@pytest.fixture(scope="module")
def builder(kind: str) -> Iterator[Pybuild]:
    with pybuild_of(person_of(kind)) as pybuild:
        yield pybuild


def built(builder: Pybuild, run: str, *options: str):
    context = builder.folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM base\nRUN {run}\n")
    base = f"base=oci-layout://{builder.busybox()}:latest"
    return builder("build", "--progress=plain", "--build-context", base, *options, context)


def test_a_step_has_the_memory_that_it_was_given(builder: Pybuild):
    done = built(builder, f"{MEMORY} || true", "-m", "32m")
    if done.status != 0:
        assert builder.is_rootless, done.stderr
        assert "--memory cannot be set" in done.stderr
        assert "hint: " in done.stderr
        return
    assert str(32 << 20) in done.stderr
    done = built(builder, HUNGRY, "-m", "16m", "--memory-swap", "16m")
    assert done.status == 1
    assert "more than --memory allows" in done.stderr
    assert not list(Path("/sys/fs/cgroup").glob("**/pybuild-build-*"))


def test_limits_are_no_part_of_what_a_step_is(builder: Pybuild):
    built(builder, "ulimit -n", "--ulimit", "nofile=77:77").ok()
    done = built(builder, "ulimit -n", "--ulimit", "nofile=78:78", "--shm-size", "1m").ok()
    assert "CACHED" in done.stderr


def test_what_makes_no_sense_is_refused_before_anything_is_built(builder: Pybuild):
    for options in (("-m", "1m"), ("--cpus", "4096"), ("--memory-swap", "9m")):
        done = built(builder, "true", *options)
        assert done.status != 0
        assert options[0].replace("-m", "--memory") in done.stderr or "--memory" in done.stderr
