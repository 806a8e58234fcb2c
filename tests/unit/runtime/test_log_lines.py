from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.runtime.logentries import LogEntry, entry_of
from builder.runtime.loglines import RotatedLines


class Writer:
    """Writes and rotates as a monitor does."""

    def __init__(self, path: str, max_files: int = 3) -> None:
        self.path = path
        self.max_files = max_files

    def write(self, *lines: str) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def rotate(self) -> None:
        for number in range(self.max_files - 1, 0, -1):
            newer = f"{self.path}.{number - 1}" if number > 1 else self.path
            if os.path.exists(newer):
                os.rename(newer, f"{self.path}.{number}")


@pytest.fixture
def writer(tmp_path):
    return Writer(str(tmp_path / "log"))


def texts(lines: RotatedLines) -> list[str]:
    return [line.decode() for line in lines.more()]


def test_all_files_are_read_from_the_oldest_on(writer):
    writer.write("1", "2")
    writer.rotate()
    writer.write("3")
    writer.rotate()
    writer.write("4")
    with RotatedLines(writer.path) as lines:
        assert texts(lines) == ["1", "2", "3", "4"]
        assert texts(lines) == []


def test_a_log_that_is_not_there_yet_has_no_lines_yet(writer):
    with RotatedLines(writer.path) as lines:
        assert texts(lines) == []
        writer.write("1")
        assert texts(lines) == ["1"]


def test_a_line_waits_for_its_end(writer):
    with RotatedLines(writer.path) as lines:
        with open(writer.path, "w", encoding="utf-8") as file:
            file.write("ha")
            file.flush()
            assert texts(lines) == []
            file.write("lf\nn")
        assert texts(lines) == ["half"]


def test_nothing_is_lost_or_doubled_by_rotation(writer):
    with RotatedLines(writer.path) as lines:
        seen: list[str] = []
        for number in range(40):
            writer.write(f"{number} a", f"{number} b")
            if number % 3 == 0:
                seen += texts(lines)
            if number % 2:
                writer.rotate()
            if number % 5 == 0:
                seen += texts(lines)
        seen += texts(lines)
    assert seen == [f"{number} {letter}" for number in range(40) for letter in "ab"]


def test_what_was_rotated_away_unread_is_skipped(writer):
    with RotatedLines(writer.path) as lines:
        writer.write("seen")
        assert texts(lines) == ["seen"]
        for number in range(10):
            writer.rotate()
            writer.write(str(number))
        assert texts(lines) == ["7", "8", "9"]


def test_a_file_that_is_cut_is_read_anew(writer):
    with RotatedLines(writer.path) as lines:
        writer.write("a long line", "another")
        assert texts(lines) == ["a long line", "another"]
        os.truncate(writer.path, 0)
        writer.write("new")
        assert texts(lines) == ["new"]


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 5, 6, 100])
def test_the_last_lines_are_found_across_files(writer, last):
    for part in (["1", "2"], ["3"], ["4", "5"]):
        writer.rotate()
        writer.write(*part)
    with RotatedLines(writer.path, last=last) as lines:
        assert texts(lines) == ["1", "2", "3", "4", "5"][max(0, 5 - last) :]
        writer.write("6")
        assert texts(lines) == ["6"]


@given(st.lists(st.integers(0, 80_000), max_size=8), st.integers(0, 10))
def test_the_last_lines_of_long_ones_are_found(tmp_path_factory, lengths, last):
    written = [f"{number}".ljust(length, "x") for number, length in enumerate(lengths)]
    writer = Writer(str(tmp_path_factory.mktemp("log") / "log"))
    writer.write(*written)
    with RotatedLines(writer.path, last=last) as lines:
        assert texts(lines) == (written[-last:] if last else [])


def test_an_entry_is_read():
    line = b'{"log":"a\\n","stream":"stderr","attrs":{"k":"v"},"time":"2026-01-31T12:00:00.5Z"}'
    assert entry_of(line) == LogEntry("stderr", "a\n", 1769860800_500000000, (("k", "v"),))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\0\0",
        b"[]",
        b'{"log":"a"}',
        b'{"log":"a","stream":"stdin","time":"2026-01-31T12:00:00Z"}',
        b'{"log":"a","stream":["stdout"],"time":"2026-01-31T12:00:00Z"}',
        b'{"log":1,"stream":"stdout","time":"2026-01-31T12:00:00Z"}',
        b'{"log":"a","stream":"stdout","time":"now"}',
        b'{"log":"a","stream":"stdout","ti',
    ],
)
def test_a_damaged_line_is_none(line):
    assert entry_of(line) is None
