"""Each black-box Dockerfile case, built by `pybuild`'s command line and looked at from outside.

All cases of one kind of caller run at once, in their own runner; then each is a test.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.commands import run
from support.installation import console_script
from support.needs import scratch_parent, shared_dir
from support.pybuild import remove
from support.users import Person, current_person, ordinary_person

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("shared", "busybox", "zstd"),
]


def _cases() -> dict[str, dict[str, Any]]:
    shared = shared_dir()
    if shared is None:
        return {}
    files = sorted((shared / "conformance" / "cases").glob("*.toml"))
    tables = [case for file in files for case in tomllib.loads(file.read_text())["case"]]
    return {case["id"]: case for case in tables}


CASES = _cases()


DEVICES = {"add/tar-pipes-and-devices", "run/fifo-and-device"}
"""Cases with device nodes, which the kernel lets nobody but root make."""


def root_only(case: Mapping[str, Any]) -> bool:
    """Whether the runner gives a context's files to someone, which root alone may."""
    contexts = [case.get("context", {}), *case.get("contexts", {}).values()]
    contexts.append(case.get("again", {}).get("context", {}))
    specs = [spec for files in contexts for spec in files.values() if isinstance(spec, dict)]
    return case["id"] in DEVICES or any(spec.keys() & {"dir", "gid", "uid"} for spec in specs)


@dataclass
class Result:
    """What the runner printed about one case."""

    status: str  # ok, FAILED or skipped
    text: str


@pytest.fixture(scope="session")
def results(kind: str) -> Iterator[dict[str, Result]]:
    """Case id → what its run came to."""
    person = current_person() if kind == "root" else ordinary_person()
    folder = Path(tempfile.mkdtemp(prefix="pybuild-cases-", dir=scratch_parent()))
    try:
        yield _run_cases(person, folder)
    finally:
        remove(folder)


def _run_cases(person: Person, folder: Path) -> dict[str, Result]:
    shared = shared_dir()
    assert shared
    runner = shutil.copytree(shared / "conformance", folder / "conformance") / "run.py"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, person.uid, person.gid)
        path.chmod(0o755 if path.is_dir() else 0o644)
    program = console_script(person)
    argv = [program.with_name("python"), runner, "--builder", "pybuild", "--command", program]
    words = [*person.prefix(), *map(str, argv), "-v"]
    finished = run(words, env=person.environment() | {"TMPDIR": str(folder)}, timeout_s=1800)
    # Not its exit status: as an ordinary user it can't remove what subordinate ids own.
    return _results(finished.stdout)


def _results(printed: str) -> dict[str, Result]:
    found: dict[str, Result] = {}
    latest = None
    for line in printed.splitlines():
        head = re.match(r"(ok|FAILED|skipped) +([a-z0-9-]+/[^ :]+)", line)
        if head:
            latest = found[head[2]] = Result(head[1], "")
        if latest:
            latest.text += f"{line}\n"
    return found


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 600


@pytest.mark.parametrize("case_id", CASES)
def test_a_case_builds_what_it_says(case_id: str, kind: str, results: dict[str, Result]) -> None:
    result = results[case_id]
    if result.status == "skipped":
        pytest.skip(result.text)
    if kind == "rootless" and root_only(CASES[case_id]):
        pytest.skip("it needs files that only root can make")
    assert result.status == "ok", result.text
