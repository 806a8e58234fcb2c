"""WORKDIR makes what is missing, and only that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StepFailedError
from builder.graph.model import WorkdirOp
from support.copying import Copied, Copying, write_tree


@pytest.fixture
def copying(tmp_path) -> Iterator[Copying]:
    made = Copying(tmp_path)
    yield made
    made.close()


def made(copying: Copying, directory: str, *, user: str = "", epoch: int | None = None) -> Copied:
    active = copying.prepare()
    layer = copying.step.make_workdir(
        WorkdirOp(directory, user, epoch), str(copying.image), active, None
    )
    return Copied(Path(active.upperdir), layer)


def test_missing_directories_are_made_0755(copying):
    result = made(copying, "/new/deep")
    assert (result.mode("new"), result.mode("new/deep")) == (0o755, 0o755)


def test_a_directory_that_is_there_gives_an_empty_layer(copying):
    (copying.image / "have").mkdir(mode=0o700)
    result = made(copying, "/have")
    assert result.names() == []
    assert result.layer == made(copying, "/").layer


def test_a_link_on_the_way_is_followed_inside_the_image(copying):
    write_tree(copying.image, {"real/": "", "link": "-> real", "out": "-> /../../etc"})
    assert made(copying, "/link/sub").names("real") == ["sub"]
    assert made(copying, "/out/sub").names("etc") == ["sub"]


def test_a_file_in_the_way_is_an_error(copying):
    write_tree(copying.image, {"file": ""})
    with pytest.raises(StepFailedError, match='"/file" is not a directory'):
        made(copying, "/file/sub")


def test_a_user_that_the_image_lacks_counts_as_root(copying):
    assert (
        made(copying, "/w", user="nobody-there").upper / "w"
    ).stat().st_uid == copying.image.stat().st_uid


def test_an_id_that_is_out_of_range_is_an_error(copying):
    with pytest.raises(StepFailedError, match="out of range"):
        made(copying, "/w", user="4294967296")


def test_with_an_epoch_the_layer_is_always_the_same(copying):
    assert made(copying, "/a/b", epoch=1000).layer == made(copying, "/a/b", epoch=1000).layer
