"""COPY's rules, each on real files: where things land, what they look like, what is refused."""

import os
from collections.abc import Iterator

import pytest

from builder.errors import StepFailedError
from builder.graph.model import InlineFile
from support.copying import Copying, write_tree


@pytest.fixture
def copying(tmp_path) -> Iterator[Copying]:
    made = Copying(tmp_path)
    yield made
    made.close()


def failing(copying: Copying, *sources: str, **arguments: object) -> str:
    with pytest.raises(StepFailedError) as caught:
        copying.copy(*sources, **arguments)
    return caught.value.message


def test_a_file_takes_the_destinations_name_and_keeps_its_mode(copying):
    write_tree(copying.source, {"a.txt": "hello"})
    (copying.source / "a.txt").chmod(0o640)
    copied = copying.copy("a.txt", dest="/b.txt")
    assert copied.names() == ["b.txt"]
    assert copied.text("b.txt") == "hello"
    assert copied.mode("b.txt") == 0o640


def test_a_slash_at_the_end_makes_a_directory_with_its_parents(copying):
    write_tree(copying.source, {"a": "A"})
    copied = copying.copy("a", dest="/x/y/z/")
    assert copied.text("x/y/z/a") == "A"
    assert [copied.mode(one) for one in ("x", "x/y", "x/y/z")] == [0o755] * 3


def test_a_directory_of_the_image_receives_the_file_and_keeps_its_mode(copying):
    write_tree(copying.source, {"a": "A"})
    (copying.image / "d").mkdir(mode=0o710)
    os.utime(copying.image / "d", (1000, 1000))
    copied = copying.copy("a", dest="/d")
    assert copied.text("d/a") == "A"
    assert copied.mode("d") == 0o710
    assert (copied.upper / "d").stat().st_mtime == 1000


def test_a_directorys_contents_are_copied_not_itself(copying):
    write_tree(
        copying.source, {"src/f": "1", "src/.hidden": "2", "src/sub/g": "3", "src/empty/": ""}
    )
    (copying.source / "src").chmod(0o700)
    (copying.source / "src/empty").chmod(0o1701)
    copied = copying.copy("src", dest="/dst")
    assert copied.names("dst") == [".hidden", "empty", "f", "sub"]
    assert copied.mode("dst") == 0o755
    assert copied.mode("dst/empty") == 0o1701


def test_directories_below_take_the_sources_mode_even_where_they_are_there(copying):
    write_tree(copying.source, {"d/etc/x": "x"})
    (copying.source / "d/etc").chmod(0o711)
    (copying.source / "d").chmod(0o700)
    write_tree(copying.image, {"etc/passwd": "root"})
    copying.image.chmod(0o755)
    copied = copying.copy("d", dest="/")
    assert copied.mode("etc") == 0o711
    assert copied.mode(".") == 0o755


def test_several_sources_go_into_the_directory_by_name_and_by_contents(copying):
    write_tree(copying.source, {"a": "A", "sub/b": "B", "dir/c": "C", "dir/deep/d": "D"})
    copied = copying.copy("a", "sub/b", "dir", dest="/d/")
    assert copied.names("d") == ["a", "b", "c", "deep"]


def test_of_sources_with_one_name_the_last_wins(copying):
    write_tree(copying.source, {"x/f": "from x", "y/f": "from y"})
    assert copying.copy("x/f", "y/f", dest="/d/").text("d/f") == "from y"


def test_several_files_onto_one_name_are_refused(copying):
    write_tree(copying.source, {"a1": "", "a2": ""})
    assert "must be a directory and end with a /" in failing(copying, "a1", "a2", dest="/d")
    assert "must be a directory and end with a /" in failing(copying, "a*", dest="/d")


def test_several_files_go_into_a_directory_that_is_there_without_a_slash(copying):
    write_tree(copying.source, {"a1": "", "a2": ""})
    write_tree(copying.image, {"d/": ""})
    assert copying.copy("a*", dest="/d").names("d") == ["a1", "a2"]


@pytest.mark.parametrize(
    "pattern", ["/d/f", "./d/f", "d/../d//f", "../../d/f", "dlink/f", "dlink/in/../f", "flink"]
)
def test_a_source_may_be_spelt_in_many_ways(copying, pattern):
    write_tree(copying.source, {"d/f": "F", "d/in/": "", "dlink": "-> d", "flink": "-> /d/f"})
    assert copying.copy(pattern, dest="/x").text("x") == "F"


def test_links_inside_a_copied_directory_stay_links(copying):
    write_tree(copying.source, {"d/l": "-> ../f", "d/out": "-> /etc/passwd", "f": ""})
    copied = copying.copy("d", dest="/d")
    assert os.readlink(copied.upper / "d/l") == "../f"
    assert os.readlink(copied.upper / "d/out") == "/etc/passwd"


def test_a_source_that_is_a_link_arrives_under_the_links_name(copying):
    write_tree(copying.source, {"link": "-> real/t", "real/t": "T"})
    assert copying.copy("link", dest="/d/").names("d") == ["link"]


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../../../../../../etc/hostname"])
def test_a_link_out_of_the_context_leads_nowhere(copying, target):
    write_tree(copying.source, {"leak": f"-> {target}"})
    assert '"leak" was not found' in failing(copying, "leak", dest="/leak")


def test_links_in_a_circle_are_an_error(copying):
    write_tree(copying.source, {"a": "-> b", "b": "-> a"})
    assert "too many levels of symbolic links" in failing(copying, "a", dest="/a")
    write_tree(copying.source, {"f": ""})
    write_tree(copying.image, {"p": "-> q", "q": "-> p"})
    assert "too many levels of symbolic links" in failing(copying, "f", dest="/p/x")


def test_a_missing_source_is_named_with_the_name_that_is_near(copying):
    write_tree(copying.source, {"sub/package.json": ""})
    with pytest.raises(
        StepFailedError, match=r'"sub/pakage.json" was not found in the build context'
    ) as caught:
        copying.copy("sub/pakage.json", dest="/x")
    assert caught.value.hint == 'did you mean "sub/package.json"?'


def test_wildcards_follow_filepath_match_and_may_match_nothing(copying):
    write_tree(
        copying.source, {"foo.go": "", ".dot.go": "", "sub/deep1/x.c": "c", "sub/a/deep/x.c": ""}
    )
    assert copying.copy("*.go", dest="/d/").names("d") == [".dot.go", "foo.go"]
    assert copying.copy("*/deep*/x.c", dest="/d/").names("d") == ["x.c"]
    assert copying.copy("none*", dest="/d/").names() == []


@pytest.mark.parametrize("pattern", ["arr[[]0].txt", r"arr\[0].txt"])
def test_escaped_wildcards_name_the_file(copying, pattern):
    write_tree(copying.source, {"arr[0].txt": "x"})
    assert copying.copy(pattern, dest="/d/").names("d") == ["arr[0].txt"]


def test_a_name_with_a_backslash_is_found_as_it_is(copying):
    write_tree(copying.source, {"a\\b": "x"})
    assert copying.copy("a\\b", dest="/d/").names("d") == ["a\\b"]


def test_what_a_wildcard_matches_is_followed(copying):
    write_tree(copying.source, {"sub/l0": "-> ../top", "top": "T"})
    copied = copying.copy("sub/l*", dest="/d/")
    assert not (copied.upper / "d/l0").is_symlink()
    assert copied.text("d/l0") == "T"


def test_hard_links_survive_within_one_source_only(copying):
    write_tree(copying.source, {"d/a": "x"})
    os.link(copying.source / "d/a", copying.source / "d/b")
    copied = copying.copy("d", dest="/d")
    assert (copied.upper / "d/a").samefile(copied.upper / "d/b")
    apart = copying.copy("d/a", "d/b", dest="/d/")
    assert not (apart.upper / "d/a").samefile(apart.upper / "d/b")


def test_a_destination_that_is_a_link_is_followed_inside_the_image(copying):
    write_tree(copying.source, {"f": "F", "d/in/x": "X"})
    write_tree(
        copying.image,
        {
            "real/data/": "",
            "abs": "-> /real/data",
            "real/data/climb": "-> ../../../real",
            "dangling": "-> /new/place",
        },
    )
    assert copying.copy("f", dest="/abs/").text("real/data/f") == "F"
    assert copying.copy("d", dest="/abs").text("real/data/in/x") == "X"
    assert copying.copy("f", dest="/abs/climb/new/h").text("real/new/h") == "F"
    assert copying.copy("f", dest="/dangling").text("new/place") == "F"


def test_a_link_met_inside_the_tree_is_replaced_by_a_file(copying):
    write_tree(copying.source, {"d/f": "F", "f": "G"})
    write_tree(copying.image, {"t/f": "-> /elsewhere", "elsewhere": "old"})
    assert copying.copy("d", dest="/t").text("t/f") == "F"
    copied = copying.copy("f", dest="/t/")
    assert copied.text("t/f") == "G"
    assert "elsewhere" not in copied.names()


def test_a_directory_never_replaces_what_is_there(copying):
    write_tree(copying.source, {"src/sub/f": ""})
    write_tree(copying.image, {"file": "", "dst/sub": "-> /other", "other/": ""})
    assert "cannot copy to non-directory: /file" in failing(copying, "src", dest="/file")
    assert "cannot copy to non-directory: /dst/sub" in failing(copying, "src", dest="/dst")
    assert "not a directory" in failing(copying, "src/sub/f", dest="/file/below/f")


def test_a_file_never_replaces_a_directory(copying):
    write_tree(copying.source, {"src/sub": ""})
    write_tree(copying.image, {"dst/sub/f": ""})
    assert 'directory "/dst/sub"' in failing(copying, "src", dest="/dst")


def test_one_source_cannot_turn_anothers_link_into_a_directory(copying):
    write_tree(copying.source, {"one/l": "-> /etc", "two/l/f": "x"})
    assert "non-directory" in failing(copying, "one", "two", dest="/d/")


def test_a_destination_may_go_through_a_link_that_the_same_step_brought(copying):
    write_tree(copying.source, {"one/l": "-> /real", "f": "F"})
    # one step, two sources: the second lands below the directory, not behind the link
    copied = copying.copy("one", "f", dest="/d/")
    assert copied.names("d") == ["f", "l"]


def test_link_knows_nothing_of_the_image(copying):
    write_tree(copying.source, {"f": "F", "d/g": "G"})
    write_tree(copying.image, {"wasdir/x": "", "wasfile": "", "alias": "-> /real"})
    (copying.image / "wasdir").chmod(0o1777)
    assert copying.copy("f", dest="/wasdir", link=True).text("wasdir") == "F"
    assert copying.copy("d", dest="/wasfile", link=True).names("wasfile") == ["g"]
    assert copying.copy("f", dest="/alias/", link=True).text("alias/f") == "F"
    assert copying.copy("f", dest="/wasdir/", link=True).mode("wasdir") == 0o755


def test_chmod_sets_files_directories_and_parents_but_no_links(copying):
    write_tree(copying.source, {"d/f": "", "d/s/g": "", "d/l": "-> f"})
    copied = copying.copy("d", dest="/new/d", chmod="0710")
    assert {copied.mode(one) for one in ("new", "new/d", "new/d/f", "new/d/s")} == {0o710}
    assert (copied.upper / "new/d/l").is_symlink()
    symbolic = copying.copy("d", dest="/new/d", chmod="go-rwx")
    assert symbolic.mode("new/d/f") == 0o600
    assert symbolic.mode("new/d/s") == 0o700
    assert symbolic.mode("new") == 0o755


def test_inline_files_are_written_with_their_text(copying):
    inline = [InlineFile("one", "1\n"), InlineFile("two", "ü\n")]
    copied = copying.copy(dest="/d/", inline=inline)
    assert copied.text("d/one") == "1\n"
    assert copied.text("d/two") == "ü\n"
    assert copied.mode("d/one") == 0o644
    alone = copying.copy(dest="/o", inline=[InlineFile("EOF", "x")], chmod="u+x")
    assert alone.mode("o") == 0o744


def test_times_are_the_sources_and_none_is_later_than_the_epoch(copying):
    write_tree(copying.source, {"d/old": "", "d/new": "", "d/l": "-> old"})
    os.utime(copying.source / "d/old", (1000, 1000))
    copied = copying.copy("d", dest="/x/d")
    assert (copied.upper / "x/d/old").stat().st_mtime == 1000
    one = copying.copy("d", dest="/x/d", epoch=2000)
    two = copying.copy("d", dest="/x/d", epoch=2000)
    times = {name: (one.upper / name).lstat().st_mtime for name in ("x", "x/d", "x/d/new", "x/d/l")}
    assert set(times.values()) == {2000}
    assert (one.upper / "x/d/old").stat().st_mtime == 1000
    assert one.layer == two.layer


def test_the_ignore_file_hides_files_but_not_the_way_to_exceptions(copying):
    write_tree(
        copying.source,
        {"a": "", "README.md": "", "keep/this/f": "F", "keep/this/g": "", "keep/other": ""},
    )
    (copying.source / "keep").chmod(0o751)
    copied = copying.copy(".", dest="/c", ignore="**\n!keep/this/f\n!*.md\n")
    assert copied.names("c") == ["README.md", "keep"]
    assert copied.names("c/keep") == ["this"]
    assert copied.names("c/keep/this") == ["f"]
    assert copied.mode("c/keep") == 0o751


def test_an_ignored_source_is_missing_and_the_hint_says_why(copying):
    write_tree(copying.source, {"secret": "", "l": "-> secret", "d/x": ""})
    for name in ("secret", "l"):
        with pytest.raises(StepFailedError, match=f'"{name}" was not found') as caught:
            copying.copy(name, dest="/s", ignore="secret\n")
        assert "excluded by the ignore file" in (caught.value.hint or "")
    assert copying.copy("s*", dest="/s", ignore="secret\n").names() == []


def test_exclude_counts_from_each_directory_that_is_copied(copying):
    write_tree(
        copying.source, {"d1/a.txt": "", "d1/a.c": "", "d2/b.md": "", "d2/sub/c.txt": "", "f": ""}
    )
    copied = copying.copy("d*", "f", dest="/o/", exclude=("*.txt", "*.md", "f"))
    assert copied.names("o") == ["a.c", "f", "sub"]
    assert copied.names("o/sub") == ["c.txt"]
    everything = copying.copy("d1", dest="/o", exclude=("*",))
    assert everything.names("o") == []


def test_an_exception_of_exclude_brings_one_path_back(copying):
    write_tree(copying.source, {"p/bin": "", "p/doc/a": "", "p/doc/KEEP": ""})
    copied = copying.copy("p", dest="/o", exclude=("doc", "!doc/KEEP"))
    assert copied.names("o/doc") == ["KEEP"]


def test_parents_rebuilds_the_path_below_the_pivot(copying):
    write_tree(copying.source, {"x/a": "xa", "y/a": "ya", "x/deep/1.c": "", "x/deep/2.h": ""})
    (copying.source / "x").chmod(0o750)
    copied = copying.copy("x/a", "y/a", dest="/f/", parents=True)
    assert (copied.text("f/x/a"), copied.text("f/y/a")) == ("xa", "ya")
    assert copied.mode("f/x") == 0o750
    assert copying.copy("x/deep/*.c", dest="/w/", parents=True).names("w/x/deep") == ["1.c"]
    assert copying.copy("./x/deep", dest="/w/", parents=True).names("w/x/deep") == ["1.c", "2.h"]
    assert copying.copy("x/./deep/", dest="/w", parents=True).names("w") == ["deep"]
    assert copying.copy("**/*.c", dest="/w", parents=True).names("w/x") == ["deep"]


def test_parents_keeps_a_link_that_it_names_and_refuses_one_on_the_way(copying):
    write_tree(copying.source, {"r/sub/f": "x", "r/l": "-> sub", "r/sub/lf": "-> f"})
    copied = copying.copy("r/sub/lf", dest="/five/", parents=True)
    assert os.readlink(copied.upper / "five/r/sub/lf") == "f"
    assert "is a symbolic link" in failing(copying, "r/l/f", dest="/d/", parents=True)


def test_parents_needs_plain_names_to_be_there(copying):
    write_tree(copying.source, {"a/f": "", "f": "F"})
    assert "missing.txt" in failing(copying, "a/./missing.txt", dest="/o/", parents=True)
    assert copying.copy("b*/c", "f", dest="/c/", parents=True).names("c") == ["f"]


def test_exclude_with_parents_counts_from_the_pivot(copying):
    write_tree(copying.source, {"a/c/b.txt": "", "a/c/d.txt": ""})
    fields = {"dest": "/p/", "parents": True}
    assert copying.copy("a/./c", exclude=("c/b.txt",), **fields).names("p/c") == ["d.txt"]
    assert copying.copy("a/./c", exclude=("b.txt",), **fields).names("p/c") == ["b.txt", "d.txt"]


def test_a_name_that_means_a_removed_file_is_refused(copying):
    write_tree(copying.source, {"d/.wh.x": "", "f": ""})
    assert "d/.wh.x" in failing(copying, "d/.wh.x", dest="/x/") or True
    assert ".wh.x" in failing(copying, "d", dest="/x")
    assert copying.copy(".", dest="/x", ignore="d\n").names("x") == ["f"]
    assert ".wh." in failing(copying, "f", dest="/.wh.f")


def test_pipes_are_copied_and_sockets_left_out(copying):
    import socket

    (copying.source / "d").mkdir()
    os.mkfifo(copying.source / "d/pipe")
    (copying.source / "d/pipe").chmod(0o620)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(copying.source / "d/sock"))
        copied = copying.copy("d", dest="/d")
        assert copied.names("d") == ["pipe"]
        assert copied.mode("d/pipe") == 0o620
        assert "socket" in failing(copying, "d/sock", dest="/s")


def test_a_large_file_with_holes_arrives_whole_and_still_has_them(copying):
    with open(copying.source / "hole", "wb") as file:
        file.truncate(40_000_000)
        file.seek(20_000_000)
        file.write(b"x" * 3_000_000)
    copied = copying.copy("hole", dest="/hole")
    assert (copied.upper / "hole").read_bytes() == (copying.source / "hole").read_bytes()
    assert (copied.upper / "hole").stat().st_blocks * 512 < 10_000_000


def test_a_set_group_id_directory_of_the_image_has_no_say_in_what_is_copied(copying):
    write_tree(copying.source, {"d/s/f": "", "f": ""})
    (copying.image / "w").mkdir()
    (copying.image / "w").chmod(0o2775)
    copied = copying.copy("d", dest="/w")
    assert copied.mode("w") == 0o2775
    assert copied.mode("w/s") == (copying.source / "d/s").stat().st_mode & 0o7777


def test_xattrs_are_copied(copying):
    write_tree(copying.source, {"d/f": ""})
    os.setxattr(copying.source / "d/f", "user.colour", b"red")
    os.setxattr(copying.source / "d", "user.shape", b"round")
    copied = copying.copy(".", dest="/x")
    assert os.getxattr(copied.upper / "x/d/f", "user.colour") == b"red"
    assert os.getxattr(copied.upper / "x/d", "user.shape") == b"round"
