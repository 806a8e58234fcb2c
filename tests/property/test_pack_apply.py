"""A tree that is packed and unpacked is the same tree, and the same bytes when packed again."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layer.apply import apply_layer
from builder.layer.errors import BadArchiveError
from builder.layer.pack import pack
from builder.layer.tarreader import read_members
from cache.errors import PybuildError
from cache.snapshot import marks
from support.trees import differences, tree_of_directory, tree_of_layers

IS_ROOT = os.geteuid() == 0 and "4294967295" in Path("/proc/self/uid_map").read_text()
"""Of all ids, not only of those of a user namespace."""

names = st.one_of(
    st.text(alphabet="ab.-é", min_size=1, max_size=4),
    st.binary(min_size=1, max_size=12).map(os.fsdecode),
    st.just("n" * 150),
).filter(
    lambda name: (
        not {"/", "\0"} & set(name) and name not in {".", ".."} and not name.startswith(".wh.")
    )
)
modes = st.sampled_from([0o644, 0o755, 0o4711, 0o600, 0o2750, 0o1777])
times = st.integers(-(1 << 31), 1 << 33)
owners = st.sampled_from([0, 1, 1000, 3_000_000] if IS_ROOT else [os.getuid()])
xattrs = st.dictionaries(
    st.sampled_from(["user.a", "user.b=c", "user.%3D"]), st.binary(max_size=20), max_size=2
)
files = st.tuples(st.just("file"), st.binary(max_size=1500), xattrs)
symlinks = st.tuples(st.just("symlink"), names, st.just({}))
others = st.tuples(st.sampled_from(["fifo", "whiteout", "hardlink"]), st.just(b""), st.just({}))
directories = st.tuples(st.sampled_from(["directory", "opaque"]), st.just(b""), xattrs)
nodes = st.recursive(
    st.tuples(st.one_of(files, symlinks, others), modes, owners, times, st.just({})),
    lambda below: st.tuples(
        directories, modes, owners, times, st.dictionaries(names, below, max_size=5)
    ),
    max_leaves=12,
)
trees = st.dictionaries(names, nodes, max_size=5)


class Maker:
    """Makes a drawn tree on disk."""

    def __init__(self):
        self._first_file = None

    def make(self, directory, tree):
        for name, (what, mode, owner, mtime, below) in tree.items():
            path = os.path.join(directory, name)
            kind, content, attributes = what
            self._make_node(path, kind, content)
            if kind in {"directory", "opaque"}:
                self.make(path, below)
            if kind in {"whiteout", "hardlink"}:
                continue
            os.chown(path, owner, owner if IS_ROOT else -1, follow_symlinks=False)
            if kind != "symlink":
                os.chmod(path, mode)
            for key, value in attributes.items():
                os.setxattr(path, key, value)
            os.utime(path, (mtime, mtime), follow_symlinks=False)

    def _make_node(self, path, kind, content):
        match kind:
            case "file":
                Path(path).write_bytes(content)
                self._first_file = self._first_file or path
            case "symlink":
                os.symlink(content, path)
            case "fifo":
                os.mkfifo(path)
            case "whiteout":
                os.mknod(path, stat.S_IFCHR)
            case "hardlink" if self._first_file:
                os.link(self._first_file, path)
            case "hardlink":
                Path(path).touch()
            case _:
                os.mkdir(path)
                if kind == "opaque":
                    marks.make_opaque(path, userxattr=True)


class Workshop:
    """Three empty directories."""

    def __enter__(self):
        self._top = tempfile.mkdtemp(prefix="pack-apply-")
        paths = [Path(self._top, name) for name in ("source", "target", "other")]
        for path in paths:
            path.mkdir()
        return paths

    def __exit__(self, *_):
        shutil.rmtree(self._top)


def packed(directory):
    target = io.BytesIO()
    layer = pack(str(directory), target, userxattr=True)
    return layer, target.getvalue()


def comparable_tree(top):
    """What is below a directory; a whiteout has no time of its own."""
    tree = tree_of_directory(top)
    del tree[""]
    return {
        path: replace(node, mtime=0) if node.kind == "char" else node for path, node in tree.items()
    }


def opaque_directories(top):
    found = [Path(parent) for parent, _, _ in os.walk(top)]
    return {p.relative_to(top) for p in found if marks.opacity(str(p), userxattr=True) == "opaque"}


@given(trees)
@settings(max_examples=60, deadline=None)
def test_pack_then_apply_gives_the_tree_back(tree):
    with Workshop() as (source, target, _):
        Maker().make(source, tree)
        layer, archive = packed(source)
        losses = apply_layer(io.BytesIO(archive), str(target), userxattr=True)
        assert (losses.devices, losses.owners, losses.xattrs) == ([], 0, 0)
        assert differences(comparable_tree(source), comparable_tree(target)) == []
        assert opaque_directories(source) == opaque_directories(target)
        assert packed(target) == (layer, archive)


@given(trees)
@settings(max_examples=30, deadline=None)
def test_pythons_tarfile_reads_the_same_members(tree):
    with Workshop() as (source, _, _):
        Maker().make(source, tree)
        _, archive = packed(source)
    ours = {}
    for member in read_members(io.BytesIO(archive)):
        ours[member.name.rstrip("/")] = (
            member.kind, member.mode, member.uid, member.gid, member.mtime_ns // 10**9,
            member.link_name, member.data.read(),
        )  # fmt: skip
    kinds = {
        tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink",
        tarfile.LNKTYPE: "hardlink", tarfile.FIFOTYPE: "fifo",
    }  # fmt: skip
    theirs = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as file:
        for info in file:
            content = file.extractfile(info).read() if info.isreg() else b""
            theirs[info.name] = (
                kinds[info.type], info.mode, info.uid, info.gid, int(info.mtime),
                info.linkname, content,
            )  # fmt: skip
    assert ours == theirs


@given(trees)
@settings(max_examples=15, deadline=None)
def test_gnu_tar_unpacks_the_same_tree(tree):
    with Workshop() as (source, target, _):
        Maker().make(source, tree)
        _, archive = packed(source)
        options = ["--xattrs", "--xattrs-include=user.*", "--numeric-owner", "--same-permissions"]
        command = ["tar", "-C", target, *options, "--delay-directory-restore", "-xf", "-"]
        subprocess.run(command, input=archive, check=True, capture_output=True)
        unpacked = tree_of_directory(target)
        read = tree_of_layers([io.BytesIO(archive)])
        assert {name for name in unpacked if ".wh." not in name} - {""} == set(read)


@given(st.binary(max_size=4000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_an_archive_or_refused(content):
    with Workshop() as (_, target, _), suppress(BadArchiveError):
        apply_layer(io.BytesIO(content), str(target), userxattr=True)


@pytest.fixture(scope="module")
def archive():
    """A small archive with every kind of header."""
    with Workshop() as (source, _, _):
        (source / "d").mkdir()
        (source / "d" / "f").write_bytes(b"content" * 100)
        (source / ("long" * 40)).symlink_to("target" * 30)
        os.link(source / "d" / "f", source / "hard")
        os.mknod(source / "gone", stat.S_IFCHR)
        os.setxattr(source / "d" / "f", "user.a", b"b")
        return packed(source)[1]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_archive_never_writes_outside(archive, data):
    damaged = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, len(archive) - 1))
        damaged[position] = data.draw(st.sampled_from(b"\0/.x10\xff"))
        start = position - position % 512  # keep the checksum right, or nothing is ever tried
        block = damaged[start : start + 512]
        damaged[start + 148 : start + 156] = b"%06o\0 " % (
            sum(block) - sum(block[148:156]) + 8 * 0x20
        )
    with Workshop() as (source, target, other):
        (other / "kept").write_text("kept")
        with suppress(PybuildError, OSError):
            apply_layer(io.BytesIO(damaged), str(target), userxattr=True)
        assert os.listdir(source) == []
        assert os.listdir(other) == ["kept"]
        assert (other / "kept").read_text() == "kept"
