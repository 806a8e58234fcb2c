import os
import stat

import pytest

from builder.layer.changes import changes
from cache.snapshot import marks


@pytest.fixture
def layers(tmp_path):
    """An upperdir and two lowerdirs."""
    for name in ("upper", "middle", "base"):
        (tmp_path / name).mkdir()
    return tmp_path / "upper", tmp_path / "middle", tmp_path / "base"


def lines(layers):
    upper, *lower = map(str, layers)
    return [f"{change.kind} {change.path}" for change in changes(upper, lower, userxattr=True)]


def write(directory, *paths):
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("x")


def hide(directory, path):
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    os.mknod(directory / path, stat.S_IFCHR)


def test_nothing_written_is_no_change(layers):
    write(layers[2], "d/f")
    assert lines(layers) == []


def test_what_was_not_there_is_added_and_what_was_is_changed(layers):
    upper, middle, base = layers
    write(base, "d/old", "top")
    write(middle, "d/newer")
    write(upper, "d/old", "d/newer", "d/new", "e/f")
    assert lines(layers) == ["C /d", "A /d/new", "C /d/newer", "C /d/old", "A /e", "A /e/f"]


def test_what_a_whiteout_hides_is_deleted(layers):
    upper, middle, base = layers
    write(base, "a/b/c", "d", "gone-before")
    hide(middle, "gone-before")
    for path in ("a/b", "d", "never-there", "gone-before"):
        hide(upper, path)
    assert lines(layers) == ["C /a", "D /a/b", "D /d"]


def test_what_a_whiteout_below_had_hidden_is_added(layers):
    upper, middle, base = layers
    write(base, "f")
    hide(middle, "f")
    write(upper, "f")
    assert lines(layers) == ["A /f"]


def test_in_an_opaque_directory_what_is_not_written_again_is_deleted(layers):
    upper, _, base = layers
    write(base, "d/kept", "d/gone", "d/sub/kept", "d/sub/gone", "d/tree/deep")
    write(upper, "d/kept", "d/new", "d/sub/kept")
    marks.make_opaque(str(upper / "d"), userxattr=True)
    assert lines(layers) == [
        "C /d", "D /d/gone", "C /d/kept", "A /d/new", "C /d/sub", "D /d/sub/gone",
        "C /d/sub/kept", "D /d/tree",
    ]  # fmt: skip


def test_a_directory_in_a_files_place_is_a_change_with_additions(layers):
    upper, _, base = layers
    write(base, "f")
    write(upper, "f/g")
    assert lines(layers) == ["C /f", "A /f/g"]


def test_a_file_in_a_directorys_place_is_one_change(layers):
    upper, _, base = layers
    write(base, "d/f")
    write(upper, "d")
    assert lines(layers) == ["C /d"]


def test_whiteouts_by_xattr_count(layers):
    upper, _, base = layers
    write(base, "d/f", "d/empty")
    write(upper, "d/f", "d/empty")
    for name in ("f", "empty"):
        os.truncate(upper / "d" / name, 0)
    os.setxattr(upper / "d", "user.overlay.opaque", b"x")
    os.setxattr(upper / "d" / "f", "user.overlay.whiteout", b"")
    assert lines(layers) == ["C /d", "C /d/empty", "D /d/f"]


def test_links_of_layers_are_not_followed(layers, tmp_path):
    upper, _, base = layers
    write(tmp_path, "outside/f")
    (base / "d").symlink_to(tmp_path / "outside")
    write(upper, "d/f")
    assert lines(layers) == ["C /d", "A /d/f"]


def test_an_image_of_no_layers_has_only_additions(layers):
    write(layers[0], "d/f")
    assert lines(layers[:1]) == ["A /d", "A /d/f"]
