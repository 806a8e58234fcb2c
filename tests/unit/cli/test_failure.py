import errno

import pytest

from builder.cli import failure
from builder.cli.termination import Terminated
from builder.errors import ProcessFailedError, SourceError
from builder.location import SourceFile, Span
from cache.errors import PybuildError

TEXT = "FROM base\nRUN one\nRUN two\nRUN three\nRUN four\n"


def test_an_error_about_a_line_shows_it_among_its_neighbours():
    span = Span(SourceFile("Dockerfile", TEXT), 3, 3)
    shown = failure.text_of(SourceError("no such thing", span=span, hint="do that"))
    assert shown.splitlines() == [
        "Dockerfile:3",
        "--------------------",
        "   1 |     FROM base",
        "   2 |     RUN one",
        "   3 | >>> RUN two",
        "   4 |     RUN three",
        "   5 |     RUN four",
        "--------------------",
        "ERROR: no such thing",
        "hint: do that",
    ]


def test_a_column_is_pointed_at():
    span = Span(SourceFile("Dockerfile", TEXT), 1, 1, column=6, width=4)
    lines = failure.quoted_lines(span)
    assert lines[0] == "Dockerfile:1:6"
    assert lines[3].index("^^^^") == lines[2].index("base")


def test_a_failed_process_shows_its_last_output_first():
    error = ProcessFailedError("exit code: 9", exit_status=9, output_tail=("cc: no input",))
    assert failure.text_of(error).splitlines()[:3] == ["------", " > cc: no input", "------"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PybuildError("x"), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(15), 143),
        (FileNotFoundError(2, "no", "f"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_status(error, status, capsys):
    assert failure.report(error) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_told_with_the_place_of_its_traceback(capsys):
    assert failure.report(ZeroDivisionError("x")) == 70
    words = capsys.readouterr().err.split()
    with open(words[-1], encoding="utf-8") as file:
        assert "ZeroDivisionError" in file.read()


def test_a_long_line_is_cut_and_control_characters_reach_no_terminal():
    text = "RUN \x1b[2J" + "x" * 5000
    lines = failure.quoted_lines(Span(SourceFile("Dockerfile", text), 1, 1, column=5, width=5000))
    assert "\x1b" not in "".join(lines)
    assert max(map(len, lines)) <= failure.MAX_COLUMNS + 12


def test_a_full_disk_is_told_with_what_to_do(capsys):
    failure.report(OSError(errno.ENOSPC, "No space left on device"))
    assert "PYBUILD_ROOT" in capsys.readouterr().err


def test_an_errors_text_says_nothing_to_the_terminal():
    text = failure.text_of(PybuildError("no \x1b[31mred\rthing", hint="a\x07\nb"))
    assert text == "ERROR: no \ufffd[31mred\ufffdthing\nhint: a\ufffd\nb\n"
