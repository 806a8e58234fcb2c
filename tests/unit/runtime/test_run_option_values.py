from __future__ import annotations

import pytest

from builder.runtime import options
from builder.runtime.errors import InvalidOptionError


def test_a_variable_without_a_value_takes_the_callers():
    assert options.parse_env("K", {"K": "v"}) == ("K", "v")
    assert options.parse_env("K=w", {"K": "v"}) == ("K", "w")
    assert options.parse_env("K=", {"K": "v"}) == ("K", "")


def test_a_variable_that_the_caller_has_not_is_taken_away():
    assert options.parse_env("K", {}) == ("K", None)


def test_a_value_may_hold_equals_signs():
    assert options.parse_env("K=a=b", {}) == ("K", "a=b")


def test_a_variable_without_a_name_is_refused():
    with pytest.raises(InvalidOptionError):
        options.parse_env("=v", {})


def test_an_env_file_has_comments_and_no_quoting():
    text = '# first\n\n  A=1\nB="x y" # no comment\nHOME\n'
    assert options.parse_env_file(text, {"HOME": "/root"}) == (
        ("A", "1"),
        ("B", '"x y" # no comment'),
        ("HOME", "/root"),
    )


def test_a_blank_in_a_name_of_an_env_file_is_refused():
    with pytest.raises(InvalidOptionError):
        options.parse_env_file("export A=1\n", {})


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("64m", 64 << 20),
        ("1g", 1 << 30),
        ("4096", 4096),
        ("1.5k", 1536),
        ("2MB", 2 << 20),
        ("7b", 7),
    ],
)
def test_a_size_is_a_number_and_a_unit(text, size_bytes):
    assert options.parse_size(text, option="--shm-size") == size_bytes


@pytest.mark.parametrize("text", ["", "m", "x", "-1m", "0", "1q", "nan", "inf"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(InvalidOptionError):
        options.parse_size(text, option="--shm-size")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=10", ("nofile", 10, 10)),
        ("nofile=10:20", ("nofile", 10, 20)),
        ("core=-1", ("core", -1, -1)),
        ("core=5:-1", ("core", 5, -1)),
    ],
)
def test_a_limit_is_a_name_a_soft_and_a_hard_value(text, limit):
    assert options.parse_ulimit(text) == limit


@pytest.mark.parametrize(
    "text", ["nofile", "nofile=", "nofile=x", "files=1", "nofile=2:1", "nofile=-1:1"]
)
def test_a_limit_that_makes_no_sense_is_refused(text):
    with pytest.raises(InvalidOptionError):
        options.parse_ulimit(text)


def test_of_labels_with_one_name_the_last_counts():
    assert options.parse_pairs(("a=1", "b", "a=2"), option="--label") == (("a", "2"), ("b", ""))
