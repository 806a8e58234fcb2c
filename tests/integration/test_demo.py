"""`make demo`, step by step, on this machine."""

from __future__ import annotations

import pytest

from support.commands import run
from support.installation import REPOSITORY, console_script
from support.pybuild import Pybuild

pytestmark = pytest.mark.privileged

SCRIPT = REPOSITORY / "docs" / "tutorial" / "first-build.sh"


@pytest.fixture
def said(pybuild: Pybuild) -> str:
    """What the demo prints, as the caller of `pybuild`."""
    repository = pybuild.folder / "repository"  # where that caller may read it
    for name in ("docs/tutorial/first-build.sh", "fixtures/hello"):
        target = repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "-r", REPOSITORY / name, target]).ok()
    pybuild.give(repository)
    script = repository / "docs/tutorial/first-build.sh"
    together = ["sh", "-c", 'exec "$@" 2>&1', "sh"]
    words = [*pybuild.user.prefix(), *together, "bash", script, console_script(pybuild.user)]
    environment = pybuild.user.environment() | {"TMPDIR": str(pybuild.tmp)}
    return run(words, env=environment).ok().stdout


def test_the_demo_builds_runs_rebuilds_and_commits(said: str) -> None:
    step = said.split("\n\033[1m== ")
    heading = [part.partition("\033")[0] for part in step]
    by = dict(zip(heading, step, strict=True))
    ran = by["Run it"]
    assert "Hello, world\nHello, stranger\n" in ran
    assert "said by user 65534" in ran
    rebuilt = next(text for name, text in by.items() if name.startswith("Change one file"))
    assert "Hello, you who changed a file" in rebuilt
    assert "CACHED" in rebuilt
    committed = next(text for name, text in by.items() if name.startswith("Change a container"))
    assert "C /srv/page.txt" in committed
    assert "you who changed a file\nGoodbye.\n" in committed


def test_a_build_with_nothing_changed_runs_nothing(said: str) -> None:
    again = said.split("== Build again")[1].split("== ", maxsplit=1)[0]
    assert again.count("CACHED") >= 3
    assert "make-page.sh" not in [line for line in again.splitlines() if "DONE" in line]
