"""What a COPY's digest sees, and what it doesn't."""

import os
import time
from collections.abc import Iterator

import pytest

from builder.worker.copy_file import InputChangedError
from support.copying import Copying, write_tree


@pytest.fixture
def copying(tmp_path) -> Iterator[Copying]:
    made = Copying(tmp_path)
    write_tree(made.source, {"d/a": "A", "d/sub/b": "B", "d/l": "-> a", "other": "o"})
    yield made
    made.close()


def changes(copying: Copying, change, *sources: str, **arguments: object) -> bool:
    sources = sources or ("d",)
    before = copying.digest(*sources, **arguments)
    assert before == copying.digest(*sources, **arguments)
    change(copying.source)
    return before != copying.digest(*sources, **arguments)


@pytest.mark.parametrize("is_stage", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "d/a").write_text("X"),
        lambda root: (root / "d/a").chmod(0o755),
        lambda root: (root / "d/sub").chmod(0o711),
        lambda root: (root / "d/a").rename(root / "d/z"),
        lambda root: (root / "d/empty").mkdir(),
        lambda root: ((root / "d/l").unlink(), (root / "d/l").symlink_to("b")),
        lambda root: os.setxattr(root / "d/a", "user.colour", b"red"),
        lambda root: os.setxattr(root / "d/sub", "user.colour", b"red"),
        lambda root: ((root / "d/c").write_text("A"), (root / "d/a").unlink()),
    ],
)
def test_names_types_modes_data_links_and_xattrs_count(copying, change, is_stage):
    assert changes(copying, change, is_stage=is_stage)


def test_a_hard_link_is_not_the_same_as_an_equal_file(copying):
    def change(root):
        (root / "d/same").unlink()
        os.link(root / "d/a", root / "d/same")

    (copying.source / "d/same").write_text("A")
    (copying.source / "d/same").chmod((copying.source / "d/a").stat().st_mode)
    assert changes(copying, change)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "d/a", (1000, 1000)),
        lambda root: os.utime(root / "d", (1000, 1000)),
        lambda root: (root / "other").write_text("changed"),
        lambda root: (root / "d").chmod(0o700),
    ],
)
def test_times_other_files_and_the_top_directorys_mode_dont_count(copying, change):
    assert not changes(copying, change)


def test_what_is_left_out_does_not_count(copying):
    def change(root):
        (root / "d/sub/b").write_text("changed")

    assert not changes(copying, change, exclude=("sub",))
    assert not changes(copying, change, ignore="d/sub\n")
    assert not changes(copying, change, "d/sub/b*/none")


def test_a_mode_does_not_count_where_chmod_replaces_it(copying):
    def change(root):
        (root / "d/a").chmod(0o600)

    assert not changes(copying, change, chmod="0755")
    (copying.source / "d/a").chmod(0o644)
    assert changes(copying, change, chmod="u+x")


def test_a_change_of_equal_size_and_time_is_seen(copying):
    def change(root):
        status = (root / "d/a").stat()
        (root / "d/a").write_text("Z")
        os.utime(root / "d/a", ns=(status.st_atime_ns, status.st_mtime_ns))

    os.utime(copying.source / "d/a", (1000, 1000))
    assert changes(copying, change)


def test_an_unchanged_file_is_not_read_again(copying, monkeypatch):
    long_ago = time.time() - 1000
    for name in ("d/a", "d/sub/b"):
        os.utime(copying.source / name, (long_ago, long_ago))
    first = copying.digest("d")
    monkeypatch.setattr("builder.worker.copy_digest.digest_of_bytes", None)
    assert copying.digest("d") == first


def test_a_tree_that_is_not_known_yet_gives_no_digest(copying):
    assert copying.step.file_digest(copying.op("d", dest="/d"), (None, None), None) is None


def test_a_file_that_changes_between_key_and_copy_fails_the_copy(copying):
    op, trees = copying.op("d", dest="/d"), (None, copying.tree())
    copying.step.file_digest(op, trees, None)
    (copying.source / "d/a").write_text("changed")
    with pytest.raises(InputChangedError):
        copying.step.run(op, str(copying.image), trees, copying.prepare(), None)
    copying.step.file_digest(op, trees, None)
    copying.step.run(op, str(copying.image), trees, copying.prepare(), None)


def test_the_owner_that_a_name_means_counts_with_link(copying):
    def digest(passwd: str):
        write_tree(copying.image, {"etc/passwd": passwd})
        op = copying.op("d", dest="/d", link=True, chown="app")
        image = copying.tree()
        trees = (type(image)(str(copying.image)), image)
        return copying.new_step().file_digest(op, trees, None)

    assert digest("app:x:1:1::/:/\n") != digest("app:x:2:2::/:/\n")
