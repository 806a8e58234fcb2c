from __future__ import annotations

import os

import pytest

from builder.export.output import ExportError
from builder.export.tree import copy_tree


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root")
    (root / "etc/passwd").chmod(0o640)
    os.link(root / "etc/passwd", root / "again")
    (root / "link").symlink_to("etc/passwd")
    os.mkfifo(root / "pipe", 0o600)
    os.utime(root / "etc/passwd", (1, 1))
    os.utime(root / "link", (2, 2), follow_symlinks=False)
    (root / "etc").chmod(0o711)
    os.utime(root / "etc", (3, 3))
    return root


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def copy(source, target):
    copy_tree(str(source), str(target))


def test_a_tree_is_copied_with_modes_times_and_links(source, target):
    copy(source, target)
    assert (target / "etc/passwd").read_text() == "root"
    assert (target / "etc/passwd").stat().st_mode & 0o7777 == 0o640
    assert (target / "etc/passwd").stat().st_mtime == 1
    assert (target / "etc").stat().st_mode & 0o7777 == 0o711
    assert (target / "etc").stat().st_mtime == 3
    assert os.readlink(target / "link") == "etc/passwd"
    assert (target / "link").lstat().st_mtime == 2
    assert (target / "again").samefile(target / "etc/passwd")
    assert (target / "pipe").is_fifo()


def test_a_second_copy_replaces_what_the_first_left(source, target):
    copy(source, target)
    (source / "etc/passwd").write_text("changed")
    copy(source, target)
    assert (target / "etc/passwd").read_text() == "changed"
    assert sorted(os.listdir(target)) == ["again", "etc", "link", "pipe"]


def test_what_else_is_there_stays(source, target):
    (target / "mine").write_text("mine")
    copy(source, target)
    assert (target / "mine").read_text() == "mine"


def test_a_link_of_the_destination_leads_nowhere_else(source, target, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "etc").symlink_to(outside)
    copy(source, target)
    assert os.listdir(outside) == []
    assert (target / "etc").is_dir()
    assert not (target / "etc").is_symlink()


def test_a_file_link_of_the_destination_is_replaced_not_followed(source, target, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (target / "again").symlink_to(outside)
    copy(source, target)
    assert outside.read_text() == "precious"
    assert (target / "again").read_text() == "root"


def test_a_directory_in_the_way_of_a_file_is_said(source, target):
    (target / "link").mkdir()
    with pytest.raises(ExportError, match="/link is no directory in the image"):
        copy(source, target)
    assert not [name for name in os.listdir(target) if name.startswith(".")]
