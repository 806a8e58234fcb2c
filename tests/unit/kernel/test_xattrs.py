"""Extended attributes through O_PATH descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.kernel import xattrs


@pytest.fixture
def file_fd(tmp_path: Path):
    path = tmp_path / "file"
    path.touch()
    try:
        os.setxattr(path, "user.b", b"2")
        os.setxattr(path, "user.a", b"1\0")
    except OSError as error:
        pytest.skip(f"no user attributes here: {error.strerror}")
    fd = os.open(path, os.O_PATH)
    yield fd
    os.close(fd)


def test_all_attributes_come_sorted_by_name(file_fd: int):
    assert list(xattrs.read_all(file_fd).items()) == [("user.a", b"1\0"), ("user.b", b"2")]


def test_one_attribute_is_read_and_a_missing_one_is_none(file_fd: int):
    assert xattrs.read_one(file_fd, "user.b") == b"2"
    assert xattrs.read_one(file_fd, "user.c") is None
