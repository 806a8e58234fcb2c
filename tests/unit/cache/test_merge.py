import os
import stat

import pytest

from cache.snapshot import marks
from cache.snapshot.merge import merge_layers

pytestmark = pytest.mark.parametrize("userxattr", [True])
LONG_AGO_NS = 1_600_000_000 * 10**9


@pytest.fixture
def make_layer(tmp_path):
    """Makes an upperdir of {path: content}; None is a whiteout, "opaque/" an opaque directory."""
    count = iter(range(100))

    def make(tree):
        top = tmp_path / f"layer{next(count)}"
        top.mkdir()
        for path, content in tree.items():
            place = top / path.rstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                os.mknod(place, stat.S_IFCHR)
            elif path.endswith("/"):
                place.mkdir(exist_ok=True)
                if content == "opaque":
                    marks.make_opaque(str(place), userxattr=True)
            else:
                place.write_text(content)
        return str(top)

    return make


def merged(tmp_path, layers, *, userxattr, hides_lower=True):
    """Merges layers given base first; the result as {path: content}, as `make_layer` takes it."""
    target = str(tmp_path / "merged")
    merge_layers(layers[::-1], target, userxattr=userxattr, hides_lower=hides_lower)
    found = {}
    for parent, directories, files in os.walk(target):
        for name in directories:
            path = os.path.join(parent, name)
            opacity = marks.opacity(path, userxattr=userxattr)
            found[os.path.relpath(path, target) + "/"] = opacity
        for name in files:
            path = os.path.join(parent, name)
            is_whiteout = marks.is_whiteout(os.lstat(path))
            with open("/dev/null" if is_whiteout else path) as file:
                found[os.path.relpath(path, target)] = None if is_whiteout else file.read()
    return found


def test_an_upper_file_hides_a_lower_one(tmp_path, make_layer, userxattr):
    layers = [make_layer({"a": "1", "b": "1"}), make_layer({"a": "2"})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"a": "2", "b": "1"}


def test_directories_are_joined(tmp_path, make_layer, userxattr):
    layers = [make_layer({"d/a": "1", "d/e/x": "1"}), make_layer({"d/b": "2", "d/e/y": "2"})]
    expected = {"d/": "", "d/a": "1", "d/b": "2", "d/e/": "", "d/e/x": "1", "d/e/y": "2"}
    assert merged(tmp_path, layers, userxattr=userxattr) == expected


def test_a_whiteout_hides_and_goes_on_hiding(tmp_path, make_layer, userxattr):
    layers = [make_layer({"a": "1"}), make_layer({"a": None, "below": None})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"a": None, "below": None}


def test_at_the_base_there_is_nothing_to_hide(tmp_path, make_layer, userxattr):
    layers = [make_layer({"a": "1", "d/": "opaque"}), make_layer({"a": None, "b": None})]
    assert merged(tmp_path, layers, userxattr=userxattr, hides_lower=False) == {"d/": ""}


def test_an_opaque_directory_hides_and_goes_on_hiding(tmp_path, make_layer, userxattr):
    layers = [make_layer({"d/a": "1"}), make_layer({"d/": "opaque", "d/b": "2"})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"d/": "opaque", "d/b": "2"}


def test_a_directory_added_to_an_opaque_one_is_opaque_with_it(tmp_path, make_layer, userxattr):
    layers = [make_layer({"d/a": "1"}), make_layer({"d/": "opaque"}), make_layer({"d/c": "3"})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"d/": "opaque", "d/c": "3"}


@pytest.mark.parametrize("lower", [None, "a file"])
def test_a_directory_over_a_whiteout_or_a_file_shows_nothing_from_below(
    tmp_path, make_layer, userxattr, lower
):
    layers = [make_layer({"d/a": "1"}), make_layer({"d": lower}), make_layer({"d/b": "2"})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"d/": "opaque", "d/b": "2"}


def test_a_file_over_a_directory_hides_it(tmp_path, make_layer, userxattr):
    layers = [make_layer({"d/a": "1"}), make_layer({"d": "file"})]
    assert merged(tmp_path, layers, userxattr=userxattr) == {"d": "file"}


def test_files_are_the_layers_own_inodes(tmp_path, make_layer, userxattr):
    layer = make_layer({"a": "1"})
    os.symlink("nowhere", f"{layer}/link")
    merge_layers([layer], str(tmp_path / "m"), userxattr=userxattr, hides_lower=True)
    for name in ("a", "link"):
        assert os.path.samestat(os.lstat(f"{layer}/{name}"), os.lstat(tmp_path / "m" / name))


def test_a_directory_has_the_metadata_of_the_uppermost_layer(tmp_path, make_layer, userxattr):
    lower, upper = make_layer({"d/a": "1"}), make_layer({"d/b": "2"})
    os.chmod(f"{upper}/d", 0o2751)
    os.setxattr(f"{upper}/d", "user.note", b"kept")
    os.utime(f"{upper}/d", ns=(LONG_AGO_NS, LONG_AGO_NS + 5))
    os.chmod(upper, 0o711)
    os.utime(upper, ns=(LONG_AGO_NS, LONG_AGO_NS + 7))
    merge_layers([upper, lower], str(tmp_path / "m"), userxattr=userxattr, hides_lower=True)
    status = os.lstat(tmp_path / "m" / "d")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o2751, LONG_AGO_NS + 5)
    assert os.getxattr(tmp_path / "m" / "d", "user.note") == b"kept"
    status = os.lstat(tmp_path / "m")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o711, LONG_AGO_NS + 7)


def test_a_whiteout_by_xattr_becomes_one_by_device(tmp_path, make_layer, userxattr):
    lower, upper = make_layer({"d/a": "1", "d/empty": ""}), make_layer({"d/a": "", "d/other": ""})
    os.setxattr(f"{upper}/d", "user.overlay.opaque", b"x")
    os.setxattr(f"{upper}/d/a", "user.overlay.whiteout", b"")
    expected = {"d/": "", "d/a": None, "d/empty": "", "d/other": ""}
    assert merged(tmp_path, [lower, upper], userxattr=userxattr) == expected


def test_a_file_with_all_the_links_it_can_have_is_copied(
    tmp_path, make_layer, userxattr, monkeypatch
):
    def no_more_links(*_, **__):
        raise OSError(31, "Too many links")

    layer = make_layer({"a": "content"})
    os.chmod(f"{layer}/a", 0o4755)
    os.utime(f"{layer}/a", ns=(LONG_AGO_NS, LONG_AGO_NS))
    monkeypatch.setattr(os, "link", no_more_links)
    assert merged(tmp_path, [layer], userxattr=userxattr) == {"a": "content"}
    status = os.lstat(tmp_path / "merged" / "a")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o4755, LONG_AGO_NS)
