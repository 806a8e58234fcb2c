"""What the checkers say, as tests: pytest alone tells whether a change can land."""

from __future__ import annotations

import pytest

from support.commands import run, tool
from support.installation import REPOSITORY

CHECKS = {
    "ruff-format": ["ruff", "format", "--check", "."],
    "ruff-check": ["ruff", "check", "."],
    "mypy": ["mypy"],
    "pyright": ["pyright"],
    "import-linter": ["lint-imports"],
}


@pytest.mark.parametrize("argv", CHECKS.values(), ids=CHECKS)
def test_the_checker_has_nothing_to_say(argv: list[str]) -> None:
    run([tool(argv[0]), *argv[1:]], cwd=REPOSITORY).ok()
