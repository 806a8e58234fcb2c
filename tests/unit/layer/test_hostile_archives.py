"""Archives that reach for what is outside of the tree they are unpacked into."""

import io
import os
import tarfile

import pytest

from builder.layer.apply import apply_layer
from builder.layer.errors import BadArchiveError
from cache.statedir import remove_tree

DIR, FILE, LINK, HARD = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def upperdir(tmp_path):
    (tmp_path / "upper").mkdir()
    return tmp_path / "upper"


@pytest.fixture
def outside(tmp_path):
    """A directory beside the tree; nothing in it may change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (tmp_path / "outside").chmod(0o755)
    yield tmp_path / "outside"
    assert os.listdir(tmp_path / "outside") == ["kept"]
    assert (tmp_path / "outside" / "kept").read_text() == "kept"
    assert (tmp_path / "outside").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "outside" / "kept").stat().st_nlink == 1
    assert sorted(set(os.listdir(tmp_path)) - {"lower"}) == ["outside", "upper"]


def apply(upperdir, *members, lowerdirs=()):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, kind, what in members:
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid, info.mode = kind, os.getuid(), os.getgid(), 0o777
            content = what.encode() if kind == FILE else b""
            info.size, info.linkname = len(content), what if kind in {LINK, HARD} else ""
            archive.addfile(info, io.BytesIO(content))
    apply_layer(io.BytesIO(target.getvalue()), str(upperdir), userxattr=True, lowerdirs=lowerdirs)


def names(upperdir):
    return sorted(
        os.path.relpath(os.path.join(parent, name), upperdir)
        for parent, directories, files in os.walk(upperdir)
        for name in (*directories, *files)
    )


@pytest.mark.parametrize(
    "member",
    [
        ("../outside/new", FILE, "x"),
        ("/../outside/new", FILE, "x"),
        ("a/../../outside/new", FILE, "x"),
        ("..", DIR, ""),
        ("../outside", DIR, ""),
        ("../outside/.wh.kept", FILE, ""),
        ("../outside/.wh..wh..opq", FILE, ""),
        ("h", HARD, "../outside/kept"),
        ("h", HARD, "/../outside/kept"),
    ],
)
def test_names_that_lead_out_are_refused(upperdir, outside, member):
    with pytest.raises(BadArchiveError, match="leads out"):
        apply(upperdir, member)


@pytest.mark.parametrize("base", [".wh.", ".wh..", ".wh..."])
def test_whiteouts_of_no_name_are_refused(upperdir, outside, base):
    with pytest.raises(BadArchiveError, match="hides no name"):
        apply(upperdir, (f"d/{base}", FILE, ""))


@pytest.mark.parametrize("name", [".wh.d/f", ".wh..wh..opq/../.wh.d/f/.wh.x"])
def test_members_below_a_whiteout_are_refused(upperdir, outside, name):
    with pytest.raises(BadArchiveError, match="below a whiteout"):
        apply(upperdir, (name, FILE, ""))


@pytest.mark.parametrize("kind", [FILE, LINK, HARD, tarfile.FIFOTYPE])
@pytest.mark.parametrize("name", [".", "./", "/", "a/.."])
def test_the_root_is_not_replaced(upperdir, outside, kind, name):
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("a", DIR, ""), (name, kind, "a"))
    assert upperdir.is_dir()
    assert not upperdir.is_symlink()


@pytest.mark.parametrize("target", ["OUTSIDE", "../outside", "../../../../../../OUTSIDE"])
def test_a_link_out_of_the_tree_leads_to_its_root_instead(upperdir, outside, target):
    target = target.replace("OUTSIDE", str(outside))
    apply(upperdir, ("out", LINK, target), ("out/new", FILE, "x"), ("out/sub/new", FILE, "x"))
    found = [name for name in names(upperdir) if name.endswith("new")]
    assert len(found) == 2
    assert (upperdir / "out").is_symlink()


def test_a_link_is_followed_as_the_image_would(upperdir):
    apply(
        upperdir,
        ("usr/lib", DIR, ""),
        ("lib", LINK, "usr/lib"),
        ("lib/f", FILE, "x"),
        ("abs", LINK, "/usr"),
        ("abs/lib/g", FILE, "x"),
        ("deep/up", LINK, "../usr/./lib/.."),
        ("deep/up/h", FILE, "x"),
    )
    assert names(upperdir) == [
        "abs", "deep", "deep/up", "lib", "usr", "usr/h", "usr/lib", "usr/lib/f", "usr/lib/g",
    ]  # fmt: skip


@pytest.mark.parametrize("targets", [("a",), ("b", "a"), ("./b/x", "a")])
def test_links_in_a_circle_are_refused(upperdir, outside, targets):
    links = [(name, LINK, target) for name, target in zip("ab", targets, strict=False)]
    with pytest.raises(BadArchiveError, match="too many links"):
        apply(upperdir, *links, ("a/f", FILE, "x"))


def test_a_file_is_never_written_through_a_link_of_its_name(upperdir, outside):
    apply(upperdir, ("f", LINK, str(outside / "kept")), ("f", FILE, "changed"))
    assert (upperdir / "f").read_text() == "changed"


def test_a_directory_does_not_give_its_metadata_to_a_links_target(upperdir, outside):
    apply(upperdir, ("d", LINK, str(outside)), ("d", DIR, ""))
    assert (upperdir / "d").is_dir()
    assert not (upperdir / "d").is_symlink()


def test_a_directory_that_becomes_a_link_later_gives_its_metadata_to_nobody(upperdir, outside):
    apply(upperdir, ("d", DIR, ""), ("d/e", DIR, ""), ("d", LINK, str(outside)))
    assert names(upperdir) == ["d"]


def test_a_directorys_parent_that_becomes_a_link_is_not_followed(upperdir, outside):
    apply(upperdir, ("a/outside", DIR, ""), ("a", LINK, ".."), ("b", FILE, "x"))
    assert names(upperdir) == ["a", "b"]


@pytest.mark.parametrize("target", ["missing", "missing/deep", "d", "gone"])
def test_hard_links_to_what_is_not_a_file_of_the_tree_are_refused(upperdir, outside, target):
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("d", DIR, ""), (".wh.gone", FILE, ""), ("h", HARD, target))


def test_a_hard_link_through_a_link_out_of_the_tree_finds_nothing(upperdir, outside):
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("out", LINK, str(outside)), ("h", HARD, "out/kept"))


def test_a_hard_link_to_a_link_out_links_the_link(upperdir, outside):
    apply(upperdir, ("out", LINK, str(outside / "kept")), ("h", HARD, "out"), ("h", FILE, "x"))
    assert (upperdir / "h").read_text() == "x"


def test_a_hard_link_to_a_link_of_the_layers_below_is_refused(upperdir, outside, tmp_path):
    (tmp_path / "lower").mkdir()
    (tmp_path / "lower" / "link").symlink_to(outside / "kept")
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("h", HARD, "link"), lowerdirs=[str(tmp_path / "lower")])


def test_a_hard_link_over_its_own_targets_parent_is_refused(upperdir, outside):
    with pytest.raises((BadArchiveError, OSError)):
        apply(upperdir, ("d/f", FILE, "x"), ("d", HARD, "d/f"))


def test_members_of_a_file_are_refused(upperdir, outside):
    with pytest.raises(BadArchiveError, match="not a directory"):
        apply(upperdir, ("f", FILE, "x"), ("f/g", FILE, "x"))


def test_a_name_component_longer_than_the_kernel_takes_is_refused(upperdir, outside):
    with pytest.raises(BadArchiveError):
        apply(upperdir, ("x" * 300, FILE, ""))


def test_a_very_deep_tree_can_be_unpacked_and_removed(upperdir):
    apply(upperdir, ("d/" * 1500 + "f", FILE, "x"))
    depth, here = 0, os.open(upperdir, os.O_RDONLY)
    while "d" in os.listdir(here):
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        depth, here = depth + 1, below
    assert os.listdir(here) == ["f"]
    os.close(here)
    assert depth == 1500
    remove_tree(str(upperdir))
    assert not upperdir.exists()


@pytest.mark.parametrize("name", ["user.a\0b", "user.", ".a", "user", "user." + "a" * 300])
def test_an_extended_attribute_that_no_file_can_have_is_refused(upperdir, name):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("f")
        info.pax_headers = {f"SCHILY.xattr.{name}": "value"}
        archive.addfile(info)
    with pytest.raises(BadArchiveError, match="extended attribute"):
        apply_layer(io.BytesIO(target.getvalue()), str(upperdir), userxattr=True)
