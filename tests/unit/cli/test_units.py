from __future__ import annotations

import pytest

from builder.cli.units import ago, human_duration, human_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (7_801_000, "7.8MB"),
        (78_010_000, "78MB"),
        (142_300_000, "142MB"),
        (999_400, "999kB"),
        (999_600, "1MB"),
        (1_024_000_000, "1.02GB"),
        (10**22, "10000EB"),
    ],
)
def test_a_size_has_three_digits_and_a_decimal_unit(size, text):
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60 + 59, "59 minutes"),
        (3600, "About an hour"),
        (1.4 * 3600, "About an hour"),
        (1.6 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_a_duration_is_told_as_docker_tells_it(seconds, text):
    assert human_duration(seconds) == text


def test_a_moment_is_told_by_how_long_ago_it_was():
    assert ago(100, now=100 + 3 * 86400) == "3 days ago"
    assert ago(200, now=100) == "Less than a second ago"
    assert ago(None, now=100) == "N/A"
