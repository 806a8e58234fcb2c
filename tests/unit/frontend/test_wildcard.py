import pytest

from builder.frontend.wildcard import (
    BadPatternError,
    Wildcard,
    has_wildcards,
    without_escapes,
)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*", "", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abc", False),
        ("ab[^e-g]", "abc", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "δ", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        (r"[\]a]", "]", True),
        (r"[\-]", "-", True),
        (r"[x\-]", "x", True),
        (r"[x\-]", "-", True),
        (r"[\-x]", "a", False),
        ("*x", "xxx", True),
        ("[!a]", "!", True),
        ("[!a]", "b", False),
        ("a]", "a]", True),
        ("a^b$", "a^b$", True),
        ("a.b", "axb", False),
        ("**", "a/b", False),
        ("a/**/b", "a/x/b", True),
        ("a/**/b", "a/x/y/b", False),
        (".*", ".hidden", True),
        ("*", ".hidden", True),
        ("?", "\n", True),
        ("a", "a\n", False),
    ],
)
def test_a_pattern_matches_as_go_does(pattern, name, expected):
    assert Wildcard(pattern).matches(name) is expected


def test_a_negated_class_matches_a_slash():
    assert Wildcard("a[^b]c").matches("a/c")


def test_a_range_that_runs_backwards_matches_nothing():
    assert not Wildcard("[z-a]").matches("m")
    assert Wildcard("[^z-a]").matches("m")


def test_the_text_between_stars_takes_its_leftmost_place_and_keeps_it():
    # A matcher that came back to the class would find the slash and match.
    assert not Wildcard("*[^x]*c").matches("ab/c")
    assert Wildcard("*[^x]c").matches("ab/c")


@pytest.mark.parametrize(
    "pattern",
    [
        "[]a]",
        "[-]",
        "[x-]",
        "[-x]",
        r"[\-x",
        "[a-b-c]",
        "[",
        "[^",
        "[^bc",
        "a[",
        "a[b",
        "a\\",
        "[a-",
    ],
)
def test_a_malformed_pattern_is_refused(pattern):
    with pytest.raises(BadPatternError) as caught:
        Wildcard(pattern)
    assert f'syntax error in pattern "{pattern}"' in caught.value.message


def test_a_hostile_pattern_takes_no_exponential_time():
    assert not Wildcard("*a" * 30 + "b").matches("a" * 2000)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("a", False), ("a*", True), ("a?", True), ("a[0]", True), (r"a\*\?\[", False), (r"\\*", True)],
)
def test_only_an_unescaped_star_question_mark_or_bracket_is_a_wildcard(pattern, expected):
    assert has_wildcards(pattern) is expected


def test_escapes_are_taken_away_once():
    assert without_escapes(r"arr\[0].txt") == "arr[0].txt"
    assert without_escapes(r"a\\b") == r"a\b"


@pytest.mark.parametrize(
    ("pattern", "directory", "expected"),
    [
        ("*/x", "a", True),
        ("*/x", "a/b", False),
        ("src/*/x", "lib", False),
        ("src/*/x", "src/lib", True),
        ("*", "a", False),
        ("a[^b]c", "a", True),
        ("*", "", True),
        (r"a\/b", "a", True),
        (r"a\*/b", "a*", True),
        (r"a\*/b", "ax", False),
    ],
)
def test_a_walk_is_told_which_directories_cannot_hold_a_match(pattern, directory, expected):
    assert Wildcard(pattern).may_match_below(directory) is expected
