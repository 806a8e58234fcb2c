"""The tests' own view of a tree notices each thing that can differ."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.images import Entry, directory, layer_tar, symlink
from support.trees import differences, tree_of_directory, tree_of_layers


def make_tree(root: Path) -> Path:
    (root / "d").mkdir(parents=True)
    (root / "d/file").write_text("x")
    (root / "d/link").symlink_to("file")
    (root / "d/same").hardlink_to(root / "d/file")
    for path in (root / "d/file", root / "d", root):
        os.utime(path, (1000, 1000))
    os.utime(root / "d/link", (1000, 1000), follow_symlinks=False)
    return root


CHANGES: dict[str, Callable[[Path], object]] = {
    "sha256": lambda root: (root / "d/file").write_text("y"),
    "mode": lambda root: (root / "d").chmod(0o700),
    "mtime": lambda root: os.utime(root / "d", (1, 1)),
    "target": lambda root: _relink(root / "d/link"),
    "same_file_as": lambda root: _break_link(root / "d/same"),
    "only in the first": lambda root: (root / "d/link").unlink(),
    "only in the second": lambda root: (root / "d/new").mkdir(),
}


def _relink(link: Path) -> None:
    link.unlink()
    link.symlink_to("elsewhere")


def _break_link(path: Path) -> None:
    path.unlink()
    path.write_text("x")


def test_equal_trees_have_no_differences(tmp_path: Path) -> None:
    one, two = (tree_of_directory(make_tree(tmp_path / name)) for name in "ab")
    assert differences(one, two) == []


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed(what: str, tmp_path: Path) -> None:
    one, two = (make_tree(tmp_path / name) for name in "ab")
    CHANGES[what](two)
    found = differences(tree_of_directory(one), tree_of_directory(two))
    assert any(what in line for line in found), found


def test_tar_made_by_others_holds_the_directorys_tree(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(root, arcname=".")
    buffer.seek(0)
    assert differences(tree_of_directory(root), tree_of_layers([buffer])) == []


def test_whiteouts_take_away_what_lower_layers_had() -> None:
    lower = {"a": directory(), "a/x": Entry(b"x"), "b": directory(), "b/y": Entry(), "c": Entry()}
    upper = {"a": directory(), "a/.wh..wh..opq": Entry(), "a/z": Entry(), ".wh.b": Entry()}
    layers = [io.BytesIO(layer_tar(entries)) for entries in (lower, upper)]
    assert sorted(tree_of_layers(layers)) == ["a", "a/z", "c"]


def test_a_link_to_a_file_that_a_later_layer_replaces_keeps_the_old_one() -> None:
    link = Entry(kind=tarfile.LNKTYPE, target="one")
    lower = layer_tar({"one": Entry(b"old"), "two": link})
    upper = layer_tar({"one": symlink("two")})
    tree = tree_of_layers([io.BytesIO(lower), io.BytesIO(upper)])
    assert tree["two"].sha256 == tree_of_layers([io.BytesIO(lower)])["one"].sha256
    assert tree["two"].same_file_as == ""
