"""Run everything that is checked, in phases, and close with one line of counts.

    python tests/run.py [PHASE...]      quick, privileged

quick: lint, types, unit, contract and property tests, two at a time.
privileged: the real kernel, one at a time, since these tests look for mounts and processes left
behind. As root it runs each test as root and as an ordinary user with subids; as an ordinary user
the rootless half.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
NO_TEST_RAN = 5  # pytest's exit status

PHASES = {
    "quick": ["-m", "not privileged", "-n", "2", "--dist", "worksteal"],
    "privileged": ["-m", "privileged", "--durations", "15"],
}


@dataclass(frozen=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )


def counts_of(junit_xml: Path) -> Counts:
    """What pytest reported; a run that wrote no report counts as one failure."""
    if not junit_xml.exists():
        return Counts(failed=1)
    total = Counts()
    for suite in ET.parse(junit_xml).getroot().iter("testsuite"):
        number = {
            key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        }
        failed = number["failures"] + number["errors"]
        total += Counts(number["tests"] - failed - number["skipped"], failed, number["skipped"])
    return total


def run_phase(name: str, folder: Path) -> Counts:
    print(f"==== {name}", flush=True)
    report = folder / f"{name}.xml"
    argv = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}"]
    argv += [f"--basetemp={folder / name}", *PHASES[name]]
    status = subprocess.run(argv, cwd=REPOSITORY, check=False).returncode
    if status == NO_TEST_RAN:
        return Counts()
    counts = counts_of(report)
    if status != 0 and counts.failed == 0:
        return counts + Counts(failed=1)  # pytest itself failed
    return counts


def main(names: list[str]) -> int:
    unknown = set(names) - set(PHASES)
    if unknown:
        print(f"no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
        return 2
    os.environ.pop("PYTEST_ADDOPTS", None)
    # a machine that keeps no bytecode would compile the program anew at each of thousands of starts
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    packages = [str(REPOSITORY / name) for name in ("builder", "cache")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=False)
    total = Counts()
    scratch_parent = os.environ.get("PYBUILD_TEST_DIR")
    with tempfile.TemporaryDirectory(prefix="pybuild-tests-", dir=scratch_parent) as folder:
        for name in names or list(PHASES):
            total += run_phase(name, Path(folder))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
