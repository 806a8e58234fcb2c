"""A COPY that runs again takes over what an earlier run has brought, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.worker.copy_step import CopyStep, SourceTree
from cache.descriptor import ChainId, chain_over
from cache.snapshot.api import SnapshotInfo
from support.copying import Copied, Copying, write_tree

COUNT = 70  # enough to be worth a list


class Rerun:
    """Runs of one COPY over one store, each committed."""

    def __init__(self, work: Path) -> None:
        self.copying = Copying(work)
        self.committed: dict[ChainId, SnapshotInfo] = {}
        for i in range(COUNT):
            write_tree(self.copying.source, {f"d{i % 7}/f{i}": f"{i}"})

    def run(self, *, is_stage: bool = False, **fields: object) -> Copied:
        copying = self.copying
        step = CopyStep(
            copying._state,
            copying._digests,
            userxattr=os.geteuid() != 0,
            find_snapshot=self.committed.get,
        )
        op = copying.op(".", dest="/app", **fields)
        trees: tuple[SourceTree | None, ...] = (None, copying.tree(is_stage=is_stage))
        step.file_digest(op, trees, None)
        active = copying.prepare()
        layer = step.run(op, str(copying.image), trees, active, None)
        chain = chain_over(active.parent, layer.diff_id)
        self.committed[chain] = SnapshotInfo(
            chain, active.parent, layer.diff_id, layer.size_bytes, active.upperdir
        )
        return Copied(Path(active.upperdir), layer)


@pytest.fixture
def rerun(tmp_path) -> Iterator[Rerun]:
    made = Rerun(tmp_path)
    yield made
    made.copying.close()


def shared(one: Copied, two: Copied) -> set[str]:
    files = {p.relative_to(one.upper) for p in one.upper.rglob("*") if p.is_file()}
    return {
        str(p)
        for p in files
        if (two.upper / p).exists() and (one.upper / p).samefile(two.upper / p)
    }


@pytest.mark.parametrize("is_stage", [False, True])
def test_unchanged_files_are_the_same_inodes_and_the_layer_is_as_if_copied(rerun, is_stage):
    first = rerun.run(is_stage=is_stage)
    write_tree(rerun.copying.source, {"d0/f0": "changed", "d9/new": "new"})
    second = rerun.run(is_stage=is_stage)
    assert len(shared(first, second)) == COUNT - 1
    assert second.text("app/d0/f0") == "changed"
    rerun.committed.clear()
    assert rerun.run(is_stage=is_stage).layer.size_bytes == second.layer.size_bytes


def test_the_layer_of_a_run_that_took_over_is_that_of_one_that_copied(rerun):
    rerun.run(epoch=1000)
    (rerun.copying.source / "d0/f0").write_text("changed")
    taken_over = rerun.run(epoch=1000)
    rerun.committed.clear()
    assert rerun.run(epoch=1000).layer == taken_over.layer


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("xx"),
        lambda file: file.chmod(0o600),
        lambda file: os.utime(file, (1000, 1000)),
        lambda file: os.setxattr(file, "user.colour", b"red"),
        lambda file: (file.rename(file.with_name("other")), file.symlink_to("other")),
    ],
)
def test_a_file_that_would_come_out_otherwise_is_copied(rerun, change):
    first = rerun.run()
    file = rerun.copying.source / "d1/f1"
    change(file)
    second = rerun.run()
    assert "app/d1/f1" not in shared(first, second)
    assert len(shared(first, second)) == COUNT - 1


def test_a_change_of_equal_size_and_time_is_copied(rerun):
    file = rerun.copying.source / "d1/f1"
    os.utime(file, (1000, 1000))
    rerun.run()
    file.write_text("Z")
    os.utime(file, (1000, 1000))
    assert rerun.run().text("app/d1/f1") == "Z"


def test_equal_files_of_the_earlier_run_stay_apart(rerun):
    write_tree(rerun.copying.source, {"d0/same1": "s", "d0/same2": "s"})
    rerun.run()
    second = rerun.run()
    assert not (second.upper / "app/d0/same1").samefile(second.upper / "app/d0/same2")


def test_another_step_takes_nothing_over(rerun):
    first = rerun.run()
    assert shared(first, rerun.run(chmod="0750")) == set()


def test_an_earlier_snapshot_that_is_gone_is_no_loss(rerun):
    first = rerun.run()
    for file in first.upper.rglob("f*"):
        file.unlink()
    second = rerun.run()
    assert second.text("app/d1/f1") == "1"
    (second.upper.parent / "copied").write_text("damaged")
    assert rerun.run().text("app/d1/f1") == "1"
