"""Subordinate ids."""

from __future__ import annotations

from builder.sandbox.idmap import IdMapping
from builder.sandbox.subids import granted, stacked


def test_lines_for_the_name_and_the_number_count_and_ill_formed_ones_do_not():
    text = "alice:100000:65536\nbob:1:1\n1000:300000:10\nalice:x:1\nalice:5:0\nalice\n"
    assert granted(text, ("1000", "alice")) == ((100000, 65536), (300000, 10))


def test_the_own_id_becomes_root_and_the_others_follow_without_a_gap():
    ranges = stacked(1000, ((100000, 5), (300000, 10)))
    assert ranges == ((0, 1000, 1), (1, 100000, 5), (6, 300000, 10))


def test_one_id_is_told_from_many_and_from_all():
    assert IdMapping(True, ((0, 1000, 1),), ((0, 1000, 1),)).one_id
    assert not IdMapping(True, ((0, 1000, 1), (1, 100000, 5))).one_id
    assert not IdMapping(False).one_id
