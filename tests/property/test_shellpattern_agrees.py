"""`${v#p}` and its kin against patterns that `re` matches by trying every way."""

import re

from hypothesis import given
from hypothesis import strategies as st

from builder.frontend.shellpattern import replaced, without_prefix, without_suffix

patterns = st.text(alphabet="ab*?", max_size=6)
values = st.text(alphabet="ab\n", max_size=8)


def plain(pattern, star):
    return "".join({"*": star, "?": "."}.get(one, re.escape(one)) for one in pattern)


@given(patterns, values, st.booleans())
def test_the_prefix_is_the_one_of_plain_matching(pattern, value, is_greedy):
    ends = [n for n in range(len(value) + 1) if re.fullmatch(plain(pattern, ".*"), value[:n])]
    end = (max(ends) if is_greedy else min(ends)) if ends else 0
    assert without_prefix(pattern, value, is_greedy=is_greedy) == value[end:]


@given(patterns, values, st.booleans())
def test_the_suffix_is_the_one_of_plain_matching(pattern, value, is_greedy):
    starts = [n for n in range(len(value) + 1) if re.fullmatch(plain(pattern, ".*"), value[n:])]
    start = (min(starts) if is_greedy else max(starts)) if starts else len(value)
    assert without_suffix(pattern, value, is_greedy=is_greedy) == value[:start]


@given(patterns, values, st.booleans())
def test_what_is_replaced_is_what_plain_matching_finds(pattern, value, is_global):
    expected = re.sub(plain(pattern, ".*"), "-", value, count=0 if is_global else 1)
    assert replaced(pattern, "-", value, is_global=is_global) == expected


def test_many_stars_take_no_exponential_time():
    value = "x" * 2000
    assert replaced("*x" * 20 + "y", "-", value, is_global=True) == value
    assert without_prefix("*x" * 20 + "y", value, is_greedy=True) == value
    assert without_suffix("y" + "x*" * 20, value, is_greedy=False) == value
    assert replaced("*" * 30 + "y", "-", value, is_global=True) == value
