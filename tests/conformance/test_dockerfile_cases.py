"""Each black-box Dockerfile case, built by `pybuild`'s command line and looked at from outside.

All cases of one kind of caller run at once, in their own runner; then each is a test. Those in
not_yet.txt fail so far, and a test fails when one of them passes: then it leaves the list.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.commands import run
from support.installation import console_script
from support.needs import scratch_parent, shared_dir
from support.users import Person, current_person, ordinary_person

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("shared", "busybox", "zstd"),
]

LIST = Path(__file__).with_name("not_yet.txt")
NOT_YET = set(re.findall(r"^[^#\s]+", LIST.read_text(), re.MULTILINE))


def _cases() -> dict[str, dict[str, Any]]:
    shared = shared_dir()
    if shared is None:
        return {}
    files = sorted((shared / "conformance" / "cases").glob("*.toml"))
    tables = [case for file in files for case in tomllib.loads(file.read_text())["case"]]
    return {case["id"]: case for case in tables}


CASES = _cases()


def owned_by_others(case: Mapping[str, Any]) -> bool:
    """Whether a context's files have owners, which root alone can give them."""
    contexts = [case.get("context", {}), *case.get("contexts", {}).values()]
    contexts.append(case.get("again", {}).get("context", {}))
    specs = [spec for files in contexts for spec in files.values() if isinstance(spec, dict)]
    return any("uid" in spec or "gid" in spec for spec in specs)


@pytest.fixture(scope="session")
def results(kind: str) -> Iterator[dict[str, dict[str, Any]]]:
    """Case id → what its run came to."""
    person = current_person() if kind == "root" else ordinary_person()
    with tempfile.TemporaryDirectory(prefix="pybuild-cases-", dir=scratch_parent()) as folder:
        yield _run_cases(person, Path(folder))


def _run_cases(person: Person, folder: Path) -> dict[str, dict[str, Any]]:
    shared = shared_dir()
    assert shared
    runner = shutil.copytree(shared / "conformance", folder / "conformance") / "run.py"
    work = folder / "work"
    work.mkdir()
    for path in (folder, work):
        os.chown(path, person.uid, person.gid)
    program = console_script(person)
    argv = [program.with_name("python"), runner, "--builder", "pybuild", "--command", program]
    report = work / "report.json"
    words = [*person.prefix(), *map(str, argv), "--json", str(report)]
    finished = run(words, env=person.environment() | {"TMPDIR": str(work)}, timeout_s=1800)
    assert report.exists(), str(finished)
    return {result["id"]: result for result in json.loads(report.read_text())}


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 600
    assert CASES.keys() >= NOT_YET


@pytest.mark.parametrize("case_id", CASES)
def test_a_case_builds_what_it_says(
    case_id: str, kind: str, results: dict[str, dict[str, Any]]
) -> None:
    result = results[case_id]
    if result["status"] == "skipped":
        pytest.skip(result["problems"][0])
    if kind == "rootless" and owned_by_others(CASES[case_id]):
        pytest.skip("the context's files have owners that only root can give them")
    problems = "\n".join(result["problems"])
    if case_id in NOT_YET:
        assert result["status"] == "failed", "it passes: take it out of not_yet.txt"
        pytest.xfail(problems)
    assert result["status"] == "passed", f"{problems}\n{result['output']}"
