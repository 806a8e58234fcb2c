from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from builder.runtime import treecopy
from support.trees import differences, tree_of_directory

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    source_fd, target_fd = os.open(source, DIRECTORY), os.open(target, DIRECTORY)
    try:
        treecopy.copy_tree(source_fd, target_fd, userxattr=True)
    finally:
        os.close(source_fd)
        os.close(target_fd)
    return target


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"content" * 1000)
    (root / "a" / "b" / "empty").touch()
    (root / "link").symlink_to("/nowhere/at/all")
    (root / "big").write_bytes(os.urandom(700_001))
    os.link(root / "big", root / "a" / "same")
    os.mkfifo(root / "pipe")
    (root / "a" / "file").chmod(0o4751)
    (root / "a" / "b").chmod(0o1770)
    for path in (root / "a" / "file", root / "a", root / "link"):
        os.utime(path, ns=(10**18, 10**18 + 123_456_789), follow_symlinks=False)
    return root


def test_a_copy_is_the_same_tree(source: Path, tmp_path: Path):
    target = copied(source, tmp_path / "target")
    assert differences(tree_of_directory(source), tree_of_directory(target)) == []
    assert (target / "a" / "file").stat().st_mtime_ns == 10**18 + 123_456_789
    assert (target / "link").lstat().st_mtime_ns == 10**18 + 123_456_789


def test_a_copy_shares_no_file_with_the_original(source: Path, tmp_path: Path):
    target = copied(source, tmp_path / "target")
    (target / "big").write_bytes(b"other")
    assert (source / "a" / "same").stat().st_size == 700_001
    assert (target / "a" / "same").read_bytes() == b"other"


def test_the_directory_itself_gets_the_metadata_of_the_original(source: Path, tmp_path: Path):
    source.chmod(0o711)
    assert stat.S_IMODE(copied(source, tmp_path / "target").stat().st_mode) == 0o711


def test_xattrs_are_copied_but_not_overlayfss_own(source: Path, tmp_path: Path):
    os.setxattr(source / "big", "user.kept", b"yes")
    os.setxattr(source / "big", "user.overlay.origin", b"no")
    target = copied(source, tmp_path / "target")
    assert os.listxattr(target / "big") == ["user.kept"]


def test_an_opaque_directory_stays_opaque(source: Path, tmp_path: Path):
    os.setxattr(source / "a", "user.overlay.opaque", b"y")
    target = copied(source, tmp_path / "target")
    assert os.getxattr(target / "a", "user.overlay.opaque") == b"y"


def test_holes_stay_holes(tmp_path: Path):
    root = tmp_path / "source"
    root.mkdir()
    with open(root / "sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    target = copied(root, tmp_path / "target")
    with open(target / "sparse", "rb") as file:
        file.seek(32 << 20)
        assert file.read(6) == b"middle"
    status = (target / "sparse").stat()
    assert status.st_size == 64 << 20
    assert status.st_blocks * 512 < 1 << 20


def test_a_file_that_is_all_hole_is_copied(tmp_path: Path):
    root = tmp_path / "source"
    root.mkdir()
    with open(root / "sparse", "wb") as file:
        file.truncate(5 << 20)
    assert (copied(root, tmp_path / "target") / "sparse").stat().st_size == 5 << 20


def test_sockets_are_left_out(tmp_path: Path):
    root = tmp_path / "source"
    root.mkdir()
    (root / "file").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        assert os.listdir(copied(root, tmp_path / "target")) == ["file"]


def test_names_that_are_no_text_are_copied(tmp_path: Path):
    root = tmp_path / "source"
    (root / os.fsdecode(b"\xff\xfe")).mkdir(parents=True)
    (root / os.fsdecode(b"\xff\xfe") / "x").touch()
    target = copied(root, tmp_path / "target")
    assert os.listdir(os.fsencode(target)) == [b"\xff\xfe"]


@pytest.mark.parametrize("refused", [18, 22, 38, 95])  # EXDEV, EINVAL, ENOSYS, EOPNOTSUPP
def test_where_the_kernel_copies_nothing_we_do(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
):
    def fail(*_args: object, **_kwargs: object) -> int:
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "copy_file_range", fail)
    target = copied(source, tmp_path / "target")
    assert (target / "big").read_bytes() == (source / "big").read_bytes()
