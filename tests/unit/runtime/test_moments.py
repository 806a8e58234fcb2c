from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.runtime.errors import InvalidOptionError
from builder.runtime.moments import nanoseconds, parse_moment, rfc3339_nano
from builder.runtime.prunefilters import PruneFilter, parse_prune_filters

NOW = 1_700_000_000.0
DAY = calendar.timegm((2026, 1, 31, 12, 0, 0))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000", 1_700_000_000.0),
        ("1700000000.25", 1_700_000_000.25),
        ("0", 0.0),
        ("10m", NOW - 600),
        ("1h30m", NOW - 5400),
        ("2026-01-31T12:00:00Z", DAY),
        ("2026-01-31T13:00:00+01:00", DAY),
        ("2026-01-31T12:00:00.5Z", DAY + 0.5),
    ],
)
def test_a_moment_is_read(text: str, moment: float):
    assert parse_moment(text, now=NOW, option="--since") == moment


def test_a_date_without_a_zone_is_local(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        for text in ("2026-01-31T14:00:00", "2026-01-31T14:00", "2026-01-31T14:00:00.123"):
            assert parse_moment(text, now=NOW, option="--since") == DAY
        assert parse_moment("2026-01-31", now=NOW, option="--since") == DAY - 14 * 3600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "x", "10", "yesterday", "2026-13-01", "-", "1e5", "\u0661"])
def test_what_is_no_moment_is_refused(text: str):
    if text == "10":
        assert parse_moment(text, now=NOW, option="--since") == 10.0
        return
    with pytest.raises(InvalidOptionError, match="--since"):
        parse_moment(text, now=NOW, option="--since")


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_a_written_time_is_read_as_it_was(moment_ns: int):
    text = rfc3339_nano(moment_ns)
    assert len(text) == 30
    assert nanoseconds(text) == moment_ns


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str):
    assert nanoseconds(text) is None or text


def test_filters_of_prune_are_read():
    found = parse_prune_filters(["until=1h", "label=a", "label=b=c", "label!=d"], now=NOW)
    assert found == PruneFilter(NOW - 3600, (("a", None), ("b", "c")), (("d", None),))
    assert parse_prune_filters([], now=NOW).says_nothing


@pytest.mark.parametrize("text", ["until", "until=", "until=x", "name=a", "label=", "label!"])
def test_other_filters_of_prune_are_refused(text: str):
    with pytest.raises((UsageError, InvalidOptionError)):
        parse_prune_filters([text], now=NOW)


def test_a_filter_means_what_is_old_and_labelled_enough():
    wanted = PruneFilter(100.0, (("a", "1"), ("b", None)), (("c", None),))
    assert wanted.allows(99.0, {"a": "1", "b": ""})
    assert not wanted.allows(100.0, {"a": "1", "b": ""})
    assert not wanted.allows(99.0, {"a": "2", "b": ""})
    assert not wanted.allows(99.0, {"a": "1"})
    assert not wanted.allows(99.0, {"a": "1", "b": "", "c": ""})
