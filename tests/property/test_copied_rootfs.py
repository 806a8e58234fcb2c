"""A copied root filesystem: what was done in it is what the upperdir says, over the same layers."""

import os
import shutil
import stat
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from cache.snapshot.api import Mount
from cache.snapshot.copied import CopiedRootfs, join_by_links
from cache.statedir import remove_tree

NAMES = ("a", "b", "c")
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["write", "mkdir", "remove", "link", "symlink", "chmod", "move", "append"]),
        PATHS,
        PATHS,
    ),
    max_size=12,
)


def change(tree, kind, path, other):
    """Do one thing; what can't be done is left."""
    here, there = os.path.join(tree, path), os.path.join(tree, other)
    try:
        match kind:
            case "write":
                with open(here, "w") as file:
                    file.write(other)
            case "append":
                with open(here, "a") as file:
                    file.write("+")
            case "mkdir":
                os.mkdir(here)
            case "remove":
                shutil.rmtree(here) if os.path.isdir(here) else os.unlink(here)
            case "link":
                os.link(here, there)
            case "symlink":
                os.symlink(other, here)
            case "chmod":
                os.chmod(here, 0o751)
            case "move":
                os.rename(here, there)
    except (OSError, shutil.Error):
        return


def facts(tree):
    """All that a layer says of a tree, hard links as groups of names."""
    found, inodes = {}, {}
    for directory, names, files in os.walk(tree):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            shown = path[len(tree) + 1 :]
            content = ""
            if stat.S_ISREG(status.st_mode):
                with open(path) as file:
                    content = file.read()
                inodes.setdefault(status.st_ino, set()).add(shown)
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[shown] = (status.st_mode, status.st_mtime_ns, content)
    return found


def write_layer(root, changes):
    layer = tempfile.mkdtemp(dir=root)
    for each in changes:
        change(layer, *each)
    return layer


@given(CHANGES, CHANGES, CHANGES)
def test_the_upperdir_over_the_layers_shows_what_was_made_of_the_copy(lowest, upper, changes):
    with tempfile.TemporaryDirectory() as root:
        layers = [write_layer(root, upper), write_layer(root, lowest)]
        at, upperdir = tempfile.mkdtemp(dir=root), tempfile.mkdtemp(dir=root)
        originals = [facts(layer) for layer in layers]
        copy = CopiedRootfs(Mount(tuple(layers), upperdir, root, userxattr=True), at)
        copy.show()
        for each in changes:
            change(at, *each)
        wanted = facts(at)
        copy.harvest()
        copy.remove()
        assert os.listdir(at) == []
        assert [facts(layer) for layer in layers] == originals, "layers never change"
        merged = os.path.join(root, "merged")
        join_by_links([upperdir, *layers], merged, userxattr=True)
        assert facts(merged) == wanted
        remove_tree(merged)


@given(CHANGES)
def test_what_was_left_alone_is_not_in_the_upperdir(lowest):
    with tempfile.TemporaryDirectory() as root:
        layer, at, upperdir = write_layer(root, lowest), tempfile.mkdtemp(dir=root), root + "/upper"
        os.mkdir(upperdir)
        copy = CopiedRootfs(Mount((layer,), upperdir, root, userxattr=True), at)
        copy.show()
        for directory, _, files in os.walk(at):  # touched, and as before again
            for name in files:
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    mode = stat.S_IMODE(os.stat(path).st_mode)
                    os.chmod(path, 0o700)
                    os.chmod(path, mode)
        copy.harvest()
        copy.remove()
        assert os.listdir(upperdir) == []
