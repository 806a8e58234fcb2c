"""Of what ps prints, the processes of a container."""

from __future__ import annotations

import os

import pytest

from builder.commands import top
from builder.errors import UsageError

OUTPUT = """\
USER         PID COMMAND
root           1 init with   blanks
root          22 sh -c true
me           222 sleep
"""


def test_the_rows_of_the_containers_processes_are_kept_whole():
    found = top.parse_ps(OUTPUT, (1, 222))
    assert found.titles == ("USER", "PID", "COMMAND")
    assert found.rows == (("root", "1", "init with   blanks"), ("me", "222", "sleep"))


def test_ps_has_to_show_the_pid():
    for output in ("USER COMMAND\nroot x\n", ""):
        with pytest.raises(UsageError):
            top.parse_ps(output, (1,))


def test_a_process_is_described_as_ps_does_it():
    (row,) = top._full_format((os.getpid(),)).rows
    assert row[1:3] == (str(os.getpid()), str(os.getppid()))
    assert "python" in row[7]
    assert top._full_format((2**22 + 1,)).rows == ()


def test_terminals_and_times_have_their_names():
    assert top._terminal(os.makedev(136, 5)) == "pts/5"
    assert top._terminal(0) == "?"
    assert top._clock(3723) == "01:02:03"
