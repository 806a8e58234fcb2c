from __future__ import annotations

from unittest import mock

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.cli import run as click_run
from builder.cli.run_line import OPTIONS
from builder.cli.run_words import Line, read


def by_click(words: list[str]) -> Line | None:
    """The line as click reads it; None where it refuses it."""
    lines: list[Line] = []
    with mock.patch.object(click_run, "execute", lambda line: lines.append(line) or 0):
        try:
            click_run.command.main(list(words), prog_name="run", standalone_mode=False)
        except (click.ClickException, click.exceptions.Exit):
            return None
    return lines[0] if lines else None


@pytest.mark.parametrize(
    "words",
    [
        ["image"],
        ["image", "sh", "-c", "x"],
        ["--rm", "-it", "image"],
        ["-itv", "/a:/b", "image", "--rm"],
        ["-v/a:/b", "--volume", "/c:/d", "--volume=/e:/f", "image"],
        ["-eA=1", "-e", "B=2", "--env=C=3", "image", "env"],
        ["--name", "x", "--name=y", "image"],
        ["--entrypoint", "", "image"],
        ["--net", "none", "--network=host", "image"],
        ["-w", "/x", "-u", "1:2", "-h", "host", "image", "-"],
        ["--rm", "--rm", "image"],
        ["-e", "--rm", "image"],
    ],
)
def test_a_plain_line_is_read_as_click_reads_it(words: list[str]):
    line = read(words, OPTIONS)
    assert line is not None
    assert line == by_click(words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--rm"],
        ["-v"],
        ["--name", "x"],
        ["--help"],
        ["--rm=true", "image"],
        ["-z", "image"],
        ["-itz", "image"],
        ["--nothing", "image"],
        ["--", "image"],
        ["-", "image"],
        ["-e=A=1", "image"],
        ["--en", "A=1", "image"],
    ],
)
def test_what_is_not_plain_is_left_to_click(words: list[str]):
    assert read(words, OPTIONS) is None


WORDS = st.sampled_from(
    [name for option in OPTIONS for name in option.names]
    + ["-it", "-iteA=1", "-tv", "-v/x", "--env=K", "--name=", "image", "x", "", "a b", "-i"]
)


@given(st.lists(WORDS, max_size=8))
def test_whatever_is_read_click_reads_in_the_same_way(words: list[str]):
    line = read(words, OPTIONS)
    if line is not None:
        assert by_click(words) == line


def test_a_line_of_click_has_all_that_it_was_given():
    line = by_click(["--rm=false", "--privileged=true", "-e", "A", "image", "x"])
    assert line == Line("image", ("x",), frozenset({"privileged"}), {}, {"env": ("A",)})
