"""The stub tree, and where a path leads in a root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.sandbox.mountpoints import MountPoint, make_stubs, resolved


def test_stubs_are_made_once_with_their_parents_first(tmp_path: Path):
    points = (
        MountPoint("/proc", is_directory=True),
        MountPoint("/etc/hosts", is_directory=False),
        MountPoint("//etc/./hostname", is_directory=False),
        MountPoint("/a/b/", is_directory=True),
    )
    paths = make_stubs(str(tmp_path), points)
    assert paths == ("proc", "etc", "etc/hosts", "etc/hostname", "a", "a/b")
    assert make_stubs(str(tmp_path), points) == paths
    assert (tmp_path / "etc" / "hosts").read_bytes() == b""
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/plain/file", "plain/file"),
        ("/missing/x/../y", "missing/y"),
        ("/dangling", "run/gone/file"),
        ("/dangling/deeper", "run/gone/file/deeper"),
        ("/up/x", "x"),
        ("/absolute/x", "run/x"),
        ("/../../plain", "plain"),
        ("/", ""),
    ],
)
def test_a_path_is_resolved_inside_the_root_up_to_what_is_missing(
    tmp_path: Path, path: str, expected: str
):
    for name in ("plain", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "dangling").symlink_to("../../run/gone/file")
    (tmp_path / "up").symlink_to("../../..")
    (tmp_path / "absolute").symlink_to("/run")
    fd = os.open(tmp_path, os.O_PATH)
    assert resolved(fd, path) == expected
    os.close(fd)


def test_a_circle_of_links_ends(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    fd = os.open(tmp_path, os.O_PATH)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by errno
        resolved(fd, "/a")
    os.close(fd)
    assert caught.value.errno == errno.ELOOP
