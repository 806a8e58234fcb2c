import os

from builder.layer.clamp import clamp_times
from cache.statedir import remove_tree

EPOCH = 1_000_000_000


def times_of(tree):
    return {str(path.relative_to(tree)): path.lstat().st_mtime for path in [tree, *tree.rglob("*")]}


def test_later_times_become_the_epoch_and_earlier_ones_stay(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("d/new", "d/old"):
        (tmp_path / name).write_text("")
    (tmp_path / "d" / "link").symlink_to("/etc/passwd")
    os.utime(tmp_path / "d" / "old", (5, 5))
    outside = os.stat("/etc/passwd").st_mtime
    clamp_times(str(tmp_path), EPOCH)
    assert times_of(tmp_path) == {
        ".": EPOCH,
        "d": EPOCH,
        "d/new": EPOCH,
        "d/link": EPOCH,
        "d/old": 5,
    }
    assert os.stat("/etc/passwd").st_mtime == outside


def test_the_depth_of_a_tree_does_not_matter(tmp_path):
    depth = 1050  # more than the interpreter recurses
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here, parent = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(parent)
    clamp_times(str(tmp_path), EPOCH)
    assert os.stat(here).st_mtime == EPOCH
    os.close(here)
    remove_tree(str(tmp_path / "d"))
