"""The code's layout: docstrings of packages, sizes of modules, where a library enters."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from support.installation import REPOSITORY

CODE = ("builder", "cache")
LONGEST_MODULE = 500  # lines; past that, ask a module what its second subject is

ENTRANCES = {
    "click": "builder/cli/",
    "dockerfile_parse": "builder/frontend/rewrite.py",
    "isal": "builder/layer/compress.py",
    "tqdm": "builder/cli/render/",
    "urllib3": "builder/registry/",
    "xxhash": "cache/filehash.py",
    "zstandard": "builder/layer/compress.py",
}
"""A third-party library → the one place that may import it."""


def modules() -> list[Path]:
    return sorted(path for name in CODE for path in (REPOSITORY / name).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


MODULES = modules()


def imports_of(path: Path) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_there_is_code_to_look_at() -> None:
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=named)
def test_a_package_is_a_docstring_and_no_code(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_has_one_subject_and_few_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


def dependencies() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return {line.partition(">=")[0].replace("-", "_") for line in project["dependencies"]}


@pytest.mark.parametrize("library", sorted(dependencies()))
def test_a_library_enters_at_one_place(library: str) -> None:
    importers = {named(path) for path in MODULES if library in imports_of(path)}
    assert importers, f"nothing imports {library}: it is no dependency any more"
    assert {name for name in importers if not name.startswith(ENTRANCES[library])} == set()


def test_nothing_is_imported_but_the_standard_library_and_the_dependencies() -> None:
    found = {library for path in MODULES for library in imports_of(path)}
    assert found - {*sys.stdlib_module_names, *CODE} <= dependencies()


def test_each_test_file_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
