"""A `pybuild` that a person can run: the checkout's own, or a copy where that is out of reach.

A clone below /root, or an interpreter there, can't be entered by an ordinary user; then the
package is installed once more where everyone may read it, for as long as the tests run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from support.users import Person

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGED = ("pyproject.toml", "README.md", "builder", "cache")


@cache
def console_script(person: Person) -> Path:
    """The path of a `pybuild` that starts when `person` calls it."""
    own = Path(sys.prefix) / "bin" / "pybuild"
    if _starts(person, own):
        return own
    copied = _install_for_all(person) / "bin" / "pybuild"
    assert _starts(person, copied), f"{person.name} cannot run {copied}"
    return copied


def _starts(person: Person, program: Path) -> bool:
    argv = [*person.prefix(), str(program), "--version"]
    try:
        done = subprocess.run(
            argv, env=person.environment(), cwd="/", capture_output=True, check=False, timeout=60
        )
    except OSError:
        return False
    return done.returncode == 0


def _install_for_all(person: Person) -> Path:
    parent = Path(tempfile.mkdtemp(prefix="pybuild-installed-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    parent.chmod(0o755)
    source = parent / "source"
    source.mkdir()
    for name in PACKAGED:
        _copy(REPOSITORY / name, source / name)
    venv = parent / "venv"
    python = _interpreter_of_all(person)
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", str(source)], check=True, umask=0o022)
    return venv


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _interpreter_of_all(person: Person) -> str:
    """A Python, new enough, that `person` may execute."""
    names = ["python3", *(f"python3.{minor}" for minor in range(20, 10, -1))]
    paths = [os.path.realpath(sys.executable), *(f"/usr/bin/{name}" for name in names)]
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for path in paths:
        argv = [*person.prefix(), path, "-c", check]
        if subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0:
            return path
    raise AssertionError(f"no Python 3.11 or newer that {person.name} may run: tried {paths}")
