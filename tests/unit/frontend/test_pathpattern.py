import pytest

from builder.frontend.pathpattern import PathPattern, clean_path
from builder.frontend.wildcard import BadPatternError


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "dir", False),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir/dir2/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir2/file", True),
        ("**file", "dirfile", True),
        ("**file", "dir/file", True),
        ("**/file", "file", True),
        ("**/file", "dirfile", False),
        ("**/file", "dir/dir/file", True),
        ("**/file*", "dir/dir/file.txt", True),
        ("**/file*txt", "dir/dir/file.txt", True),
        ("**/*.txt", "file.txt", True),
        ("a**/*.txt", "a/file.txt", True),
        ("a**/*.txt", "a/dir/file.txt", True),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "afe", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        (r"a\\*", r"a\x", True),
        ("a**b", "ab", True),
        ("a**b", "ax/b", True),
        ("a**b", "axb", False),
        ("x**", "xylophone/a", True),
        ("*", "a\n", True),
    ],
)
def test_a_pattern_matches_as_moby_does(pattern, path, expected):
    assert PathPattern(pattern).matches(path) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (r"\d", "5", True),  # an escape is Go's regular expressions' own
        (r"\d", "d", False),
        ("[*]", "*", False),  # [[^/]*] : characters of a class, then a bracket
        ("[*]", "[^]", True),
        ("[?]", "[]", True),
        ("[?]", "?", False),
        ("a^b*", "a^b", False),  # an anchor in the middle
        ("a^b", "a^b", True),
        ("[^a]b", "/b", True),
        ("[[:alpha:]]", "q", True),
        ("[[:alpha:]]", ":]", False),
        (r"[\d-z]x", "7x", True),
        (r"[a\]]", "]", True),
        ("**foo?", "xfoo1", False),  # `**` before text is a plain suffix only without wildcards
        ("**foo", "xfoo", True),
    ],
)
def test_the_oddities_of_moby_are_kept(pattern, path, expected):
    assert PathPattern(pattern).matches(path) is expected


@pytest.mark.parametrize("pattern", ["[", "a[b", "a\\", r"\y*", "[z-a]", "[[:nope:]]", r"[a-\d]"])
def test_a_pattern_that_go_cannot_compile_is_refused(pattern):
    with pytest.raises(BadPatternError):
        PathPattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "directory", "expected"),
    [
        ("a/b/c", "a", True),
        ("a/b/c", "a/b", True),
        ("a/b/c", "a/b/c", False),
        ("a/b/c", "x", False),
        ("*.md", "sub", False),
        ("*/k*", "sub", True),
        ("*/k*", "sub/x", False),
        ("**/k", "sub/x/y", True),
        ("a/**", "a/b", True),
        ("a/**", "b", False),
        ("a/b/*", "a", True),
    ],
)
def test_a_walk_is_told_which_directories_cannot_hold_a_match(pattern, directory, expected):
    assert PathPattern(pattern).may_match_below(directory) is expected


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("//a//b/", "/a/b"), ("a/../b", "b"), ("./a", "a"), ("", "."), ("../a", "../a"), ("/..", "/")],
)
def test_paths_are_cleaned_as_go_cleans_them(path, cleaned):
    assert clean_path(path) == cleaned


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*a*b*c*d*e*/f", "xaxbxcxdxex/f", True),
        ("*a*b*c*d*e*/f", "xaxbxcxdxex/y/f", False),
        ("**/a/**/b/**/c/**/d/*", "a/x/b/c/y/z/d/e", True),
        ("**/a/**/b/**/c/**/d/*", "a/x/b/c/y/z/d/e/f", False),
        ("a*[0-9]*[0-9]*[0-9]*", "ax1y2z3", True),
        ("**/*?*?*?", "x/ab", False),
        ("*a" * 30 + "b", "a" * 250, False),
        ("**/a*" * 15 + "b", "a/" * 100, False),
    ],
)
def test_patterns_with_many_stars_match_as_others_do_and_in_time(pattern, path, expected):
    assert PathPattern(pattern).matches(path) is expected
