import os
import stat

import pytest

from cache.snapshot.api import Mount
from cache.snapshot.copied import CopiedRootfs, own_files
from cache.snapshot.filecopy import copy_node, same_content


@pytest.fixture
def place(tmp_path):
    for name in ("low", "upper", "at"):
        (tmp_path / name).mkdir()
    return tmp_path


def copied(place):
    mount = Mount((str(place / "low"),), str(place / "upper"), str(place), userxattr=True)
    return CopiedRootfs(mount, str(place / "at"))


def test_a_copy_of_files_shares_no_inode_with_the_layers_and_keeps_links_within(place):
    (place / "low/a").write_text("x")
    os.link(place / "low/a", place / "low/b")
    copy = copied(place)
    copy.show()
    a, b = (place / "at/a").stat(), (place / "at/b").stat()
    assert a.st_ino == b.st_ino != (place / "low/a").stat().st_ino
    assert a.st_nlink == 2
    copy.remove()


def test_a_removed_file_leaves_a_whiteout_and_a_removed_tree_one(place):
    (place / "low/d/e").mkdir(parents=True)
    (place / "low/d/e/f").write_text("x")
    copy = copied(place)
    copy.show()
    (place / "at/d/e/f").unlink()
    (place / "at/d/e").rmdir()
    (place / "at/d").rmdir()
    copy.harvest()
    copy.remove()
    status = (place / "upper/d").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0


def test_without_layers_the_upperdir_itself_is_written_to(place):
    copy = CopiedRootfs(Mount((), str(place / "upper")), str(place / "at"))
    (place / "upper/f").write_text("x")
    copy.show()
    assert (place / "at/f").read_text() == "x"
    (place / "at/g").write_text("y")
    copy.harvest()
    copy.remove()
    assert sorted(os.listdir(place / "upper")) == ["f", "g"]
    assert os.listdir(place / "at") == []


def test_a_view_shows_the_layers_and_leaves_nothing(place):
    (place / "low/f").write_text("x")
    copy = CopiedRootfs(Mount((str(place / "low"),), userxattr=True), str(place / "at"))
    copy.show()
    assert (place / "at/f").read_text() == "x"
    copy.remove()
    assert (place / "low/f").read_text() == "x"
    assert os.listdir(place / "at") == []


def test_a_touched_file_with_the_same_content_and_times_is_no_change(place):
    path = place / "low/f"
    path.write_text("x")
    copy = copied(place)
    copy.show()
    inside = place / "at/f"
    status = inside.stat()
    inside.write_text("x")
    os.utime(inside, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.harvest()
    copy.remove()
    assert os.listdir(place / "upper") == []


def test_special_bits_xattrs_times_and_holes_are_copied(place):
    path = place / "low/f"
    with path.open("wb") as file:
        file.write(b"start")
        file.seek(1 << 20)
        file.write(b"end")
    path.chmod(0o4755)
    os.setxattr(path, "user.note", b"n")
    os.utime(path, ns=(5, 7))
    copy_node(str(path), str(place / "copy"), path.stat())
    made = (place / "copy").stat()
    assert (made.st_mode, made.st_mtime_ns, made.st_size) == (path.stat().st_mode, 7, (1 << 20) + 3)
    assert made.st_blocks * 512 < 1 << 20
    assert os.getxattr(place / "copy", "user.note") == b"n"
    assert same_content(str(path), str(place / "copy"), made)
    os.setxattr(place / "copy", "user.note", b"o")
    assert not same_content(str(path), str(place / "copy"), made)


def test_directories_keep_their_times_when_files_become_own(place):
    (place / "low/f").write_text("x")
    os.utime(place / "low", ns=(5, 9))
    own_files(str(place / "low"))
    assert (place / "low").stat().st_mtime_ns == 9
