import pytest

from builder.frontend.goformat import (
    duration_ns,
    duration_text,
    quoted,
    quoted_list,
    quoted_rune,
    size_bytes,
    truth,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("\t\n\x00\x7f\\", '"\\t\\n\\x00\\x7f\\\\"'),
        ("é\u00a0\u200b", '"é\\u00a0\\u200b"'),
        ("\U0001f600\U000e0001", '"\U0001f600\\U000e0001"'),
    ],
)
def test_text_is_quoted_as_go_quotes_it(text, written):
    assert quoted(text) == written


def test_lists_and_runes_have_gos_form():
    assert quoted_list(["a", "b c"]) == '["a" "b c"]'
    assert [quoted_rune(number) for number in (0, 3, 39, 65)] == [
        "'\\x00'",
        "'\\x03'",
        "'\\''",
        "'A'",
    ]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5s", 5_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("100us", 100_000),
        ("1µs", 1000),
        (".5ms", 500_000),
        ("0", 0),
        ("-2s", -2_000_000_000),
    ],
)
def test_durations_are_read(text, nanoseconds):
    assert duration_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1s2", "1 s", ".s", "-", "9999999h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="time: "):
        duration_ns(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (20_000_000, "20ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_are_written(nanoseconds, text):
    assert duration_text(nanoseconds) == text
    assert duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("1k", 1024), ("64MB", 64 << 20), ("1.5GiB", 3 << 29), ("2 g", 2 << 30)],
)
def test_sizes_are_read(text, size):
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "1x", "-1k", "1.2.3", "k"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="invalid size"):
        size_bytes(text)


def test_booleans_have_gos_spellings():
    assert truth("T")
    assert not truth("False")
    with pytest.raises(ValueError, match="invalid boolean"):
        truth("yes")
