import time

import pytest

from builder.errors import SourceError
from builder.frontend.ignorefile import (
    IgnoreMatcher,
    IllegalExceptionError,
    read_ignore_file,
)
from builder.location import SourceFile


def patterns_of(text):
    matcher = read_ignore_file(SourceFile(".dockerignore", text))
    return tuple(f"{'!' if one.exception else ''}{one.pattern.text}" for one in matcher.patterns)


def excluded(patterns, *paths):
    matcher = IgnoreMatcher.of(patterns)
    return [path for path in paths if matcher.excludes(path)]


def test_comments_blank_lines_and_outer_space_do_not_count():
    text = "# one\n\n   \n  d/a  \n\td/b\t\r\n #d/c\nd/with space\nd/e # no comment\n"
    assert patterns_of(text) == ("d/a", "d/b", "#d/c", "d/with space", "d/e # no comment")


def test_a_byte_order_mark_does_not_belong_to_the_first_pattern():
    assert patterns_of("\ufeffa\n") == ("a",)


def test_patterns_are_cleaned_and_start_at_the_root():
    text = "/d/lead\nd/trail/\n./d/dot\nd/x/../inner\n//d//double\n!/x/\n! y\n/\n.\n"
    assert patterns_of(text) == (
        "d/lead", "d/trail", "d/dot", "d/inner", "d/double", "!x", "!y", "/", ".",
    )  # fmt: skip


def test_an_empty_file_leaves_nothing_out():
    matcher = read_ignore_file(SourceFile(".dockerignore", ""))
    assert not matcher
    assert not matcher.excludes("a")
    assert not matcher.may_skip_directory("a")


@pytest.mark.parametrize(
    ("text", "line"), [("a\n!\n", 2), ("\n\na[b\n", 3), ("# c\n! \n", 2), ("!/\n", 1)]
)
def test_an_error_tells_the_line_of_the_file(text, line):
    with pytest.raises(SourceError) as caught:
        read_ignore_file(SourceFile(".dockerignore", text))
    assert caught.value.span is not None
    assert caught.value.span.first_line == line


def test_a_lone_exclamation_mark_is_an_error():
    with pytest.raises(IllegalExceptionError, match="illegal exclusion pattern"):
        IgnoreMatcher.of(["!"])


def test_an_excluded_directory_goes_with_all_that_is_in_it():
    assert excluded(["b/gone"], "b", "b/gone", "b/gone/very/deep", "b/gone2") == [
        "b/gone",
        "b/gone/very/deep",
    ]


def test_the_last_line_that_applies_wins():
    patterns = ["d/*.md", "!d/README*.md", "d/README-secret.md", "!d/early", "d/early"]
    paths = ("d/a.md", "d/README.md", "d/README-secret.md", "d/early", "d/other")
    assert excluded(patterns, *paths) == ["d/a.md", "d/README-secret.md", "d/early"]


def test_an_exception_reaches_into_an_excluded_directory():
    assert excluded(["one", "!one/keep"], "one", "one/keep", "one/keep/x", "one/drop") == [
        "one",
        "one/drop",
    ]


def test_an_exception_for_a_directory_does_not_bring_back_a_file_named_by_another_pattern():
    assert excluded(["**/*.log", "!d"], "d", "d/a.log", "d/b") == ["d/a.log"]


def test_an_exception_that_undid_a_directory_holds_for_its_files():
    assert excluded(["d", "**/*.log", "!d"], "d", "d/a.log", "d/b") == []


@pytest.mark.parametrize(
    ("patterns", "directory", "expected"),
    [
        (["a"], "a", True),
        (["a"], "a/b", True),
        (["a"], "b", False),
        (["a", "!a/keep"], "a", False),
        (["a", "!a/keep"], "a/x", True),
        (["a", "!b/keep"], "a", True),
        (["!a/keep", "a"], "a", True),
        (["**", "!*.md"], "sub", True),
        (["**", "!**/*.md"], "sub", False),
        (["*", "!keep/this/f"], "keep", False),
        (["*", "!keep/this/f"], "keep/this", False),
        (["*", "!keep/this/f"], "keep/that", True),
    ],
)
def test_only_a_directory_that_nothing_brings_back_is_skipped(patterns, directory, expected):
    assert IgnoreMatcher.of(patterns).may_skip_directory(directory) is expected


def test_dots_and_names_above_the_context_exclude_nothing():
    assert excluded([".", "..", "../d/f", "/"], "d", "d/f") == []


def test_answers_do_not_depend_on_the_order_of_the_questions():
    patterns = ["a/**", "!a/b/*", "**/c"]
    paths = ["a/b/c/d", "a/b", "a", "a/b/c", "a/b/x"]
    forward, backward = IgnoreMatcher.of(patterns), IgnoreMatcher.of(patterns)
    answers = {path: forward.excludes(path) for path in paths}
    assert {path: backward.excludes(path) for path in reversed(paths)} == answers


def test_a_thousand_patterns_over_a_hundred_thousand_files_take_seconds_at_most():
    patterns = [
        pattern
        for i in range(125)
        for pattern in (
            f"build/out{i}",
            f"**/gen{i}",
            f"**/*.x{i}",
            f"src/m{i}/*.tmp",
            f"!src/m{i}/keep*.tmp",
            f"*/cache{i}*",
            f"lib{i}/**",
            f"**/t{i}/[a-f]*.o",
        )
    ]
    matcher = IgnoreMatcher.of(patterns)
    start = time.process_time()
    count = sum(
        matcher.excludes(f"src/m{i % 500}/d{i % 7}/file{i}.{'tmp' if i % 3 else 'c'}")
        for i in range(100_000)
    )
    assert count == 0
    assert time.process_time() - start < 3.0
