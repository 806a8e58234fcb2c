"""The leak check sees what is left, and needs that CI promised are not skipped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.leaks import traces, unfinished_in
from support.needs import lacking

ORPHAN = "import subprocess, sys; subprocess.Popen(['sleep', '30'], stdout=subprocess.DEVNULL)"


def test_a_grandchild_whose_parent_has_ended_is_seen() -> None:
    before = traces()
    subprocess.run([sys.executable, "-c", ORPHAN], check=True)
    left = traces().since(before)
    assert [line.split(maxsplit=2)[2] for line in left if "process" in line] == ["sleep 30"]
    os.kill(int(left[0].split()[1]), signal.SIGKILL)


def test_a_lock_and_an_unfinished_entry_are_seen(tmp_path: Path) -> None:
    for name in ("locks/ab", "tmp/1-x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert len(unfinished_in(tmp_path)) == 2


def test_a_program_that_is_missing_is_lacking() -> None:
    assert lacking("sh") == ""
    assert "not installed" in lacking("no-such-program")


@pytest.mark.parametrize(("ci", "outcome"), [("true", "errors"), ("", "skipped")])
def test_a_lacking_need_skips_and_fails_where_ci_promised_it(
    ci: str, outcome: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    conftest = Path(__file__).parents[2] / "conftest.py"
    pytester.makeconftest(conftest.read_text())
    pytester.makeini(f"[pytest]\nmarkers = needs\npythonpath = {conftest.parent}\n")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.needs('no-such-program')\ndef test_it(): pass\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(**{outcome: 1})
