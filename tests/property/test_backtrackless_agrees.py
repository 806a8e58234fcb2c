import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.frontend.backtrackless import PieceMatcher

pieces = st.lists(
    st.sampled_from(
        [
            ("a", "one"),
            ("b", "one"),
            ("/", "one"),
            (".", "one"),
            ("[^/]", "one"),
            ("^", "one"),
            ("[^/]", "repeated"),
            ("[ab]", "repeated"),
            (".", "repeated"),
            ("(?:.*/)?", "directories"),
        ]
    ),
    max_size=6,
)


@given(pieces, st.text(alphabet="ab/\n", max_size=8))
def test_pieces_match_what_the_whole_expression_matches(pieces, text):
    expression = "".join(f"{text}*" if kind == "repeated" else text for text, kind in pieces)
    expected = re.fullmatch(expression, text) is not None
    assert PieceMatcher(pieces, 0).matches(text) is expected


@pytest.mark.parametrize("gap", [("[^/]", "repeated"), ("(?:.*/)?", "directories")])
def test_many_gaps_take_no_exponential_time(gap):
    matcher = PieceMatcher([gap, ("a", "one")] * 30 + [("b", "one")], 0)
    assert not matcher.matches("a/" * 200 + "a" * 200)
