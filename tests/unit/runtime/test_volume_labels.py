"""`z`, `Z` and `U`: labels and owners of what is mounted, with a kernel that only takes notes."""

from __future__ import annotations

import os

import pytest

from builder.errors import UnsupportedError
from builder.runtime.errors import MountSourceError
from builder.runtime.volumes_chown import give
from builder.runtime.volumes_relabel import relabel
from builder.sandbox import lsm
from builder.sandbox.api import Credentials


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").touch()
    (tmp_path / "tree" / "link").symlink_to("/etc")
    return tmp_path / "tree"


@pytest.fixture
def labels(monkeypatch):
    """SELinux is on; path → label, and whether a link was followed."""
    seen: dict[str, bytes] = {}

    def setxattr(path: str, name: str, value: bytes, *, follow_symlinks: bool) -> None:
        assert name == "security.selinux"
        assert not os.path.islink(path) or not follow_symlinks or path.count("/") == 4
        directory, base = os.path.split(path)
        seen[os.path.join(os.path.realpath(directory), base)] = value

    monkeypatch.setattr(lsm, "has_selinux", lambda: True)
    monkeypatch.setattr(lsm, "process_label", lambda _: "u:r:container_t:s0:c1,c2")
    monkeypatch.setattr(os, "setxattr", setxattr)
    return seen


def test_all_in_a_tree_is_labelled_and_no_link_is_followed(tree, labels):
    relabel(str(tree), "shared", ())
    assert set(labels) == {str(tree), *(str(each) for each in tree.rglob("*"))}
    assert set(labels.values()) == {b"system_u:object_r:container_file_t:s0\0"}


def test_a_private_label_has_the_level_of_the_container(tree, labels):
    relabel(str(tree), "private", ("level:s0:c1,c2",))
    assert set(labels.values()) == {b"system_u:object_r:container_file_t:s0:c1,c2\0"}


def test_a_single_file_is_labelled(tree, labels):
    relabel(str(tree / "sub" / "file"), "shared", ())
    assert list(labels) == [str(tree / "sub" / "file")]


def test_what_cannot_be_labelled_is_told(tree, labels, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(MountSourceError, match="SELinux"):
        relabel(str(tree), "shared", ())


def test_without_selinux_nothing_is_labelled(tree, labels, monkeypatch):
    monkeypatch.setattr(lsm, "has_selinux", lambda: False)
    relabel(str(tree), "private", ())
    assert labels == {}


@pytest.mark.parametrize("path", ["/", "/etc", "/usr", "/etc/../usr"])
def test_directories_of_the_system_stay_as_they_are(path, labels):
    with pytest.raises(UnsupportedError):
        relabel(path, "shared", ())
    with pytest.raises(UnsupportedError):
        give(path, Credentials(1000, 1000))
    assert labels == {}


def test_all_in_a_tree_is_given_and_no_link_is_followed(tree, monkeypatch):
    given: list[tuple[str, bool]] = []

    def chown(
        path: str, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> None:
        assert (uid, gid) == (7, 8)
        given.append((os.path.basename(path), follow_symlinks))

    monkeypatch.setattr(os, "chown", chown)
    give(str(tree), Credentials(7, 8))
    assert sorted(given[:-1]) == [("file", False), ("link", False), ("sub", False)]
    assert given[-1] == ("tree", True)


def test_what_is_the_users_already_is_not_looked_into(tree, monkeypatch):
    monkeypatch.setattr(os, "chown", pytest.fail)
    give(str(tree), Credentials(os.getuid(), os.getgid()))
