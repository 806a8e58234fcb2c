from __future__ import annotations

from builder.cli.table import table, truncated


def test_columns_are_as_wide_as_their_longest_cell_and_three_blanks():
    rows = [
        ("REPOSITORY", "TAG", "SIZE"),
        ("a-very-long-name", "latest", "7.8MB"),
        ("b", "x", "1B"),
    ]
    assert table(rows) == (
        "REPOSITORY         TAG       SIZE\n"
        "a-very-long-name   latest    7.8MB\n"
        "b                  x         1B\n"
    )


def test_a_table_of_headings_alone_is_a_line():
    assert table([("A", "B")]) == "A         B\n"


def test_a_long_text_ends_in_an_ellipsis():
    assert truncated("0123456789", 10) == "0123456789"
    assert truncated("0123456789a", 10) == "012345678…"
