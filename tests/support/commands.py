"""Run programs, `pybuild` first of all, the way a person does: as separate processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.installation import console_script
from support.users import Person, current_person

TIMEOUT_S = 600


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def ok(self) -> Finished:
        """This, or an AssertionError that shows what went wrong."""
        assert self.status == 0, f"{self}"
        return self

    def __str__(self) -> str:
        words = " ".join(self.argv)
        return f"{words}\nended with status {self.status}\n{self.stdout}\n{self.stderr}"


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | str = "/",
    stdin: str | bytes | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Run a program to its end; never raises for its exit status."""
    words = tuple(map(str, argv))
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        words,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        input=data if data is not None else None,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    stdout, stderr = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return Finished(words, done.returncode, stdout, stderr)


def pybuild_argv(args: Sequence[str | Path], *, user: Person | None = None) -> list[str]:
    person = user or current_person()
    return [*person.prefix(), str(console_script(person)), *map(str, args)]


def pybuild_environment(
    *, user: Person | None = None, root: Path, tmp: Path | None = None
) -> dict[str, str]:
    person = user or current_person()
    # tests leave this machine's network alone, unless they make one of their own
    environment = person.environment() | {"PYBUILD_ROOT": str(root), "PYBUILD_NETWORK": "host"}
    return environment | ({"TMPDIR": str(tmp)} if tmp else {})


def run_pybuild(
    args: Sequence[str | Path],
    *,
    root: Path,
    user: Person | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | str = "/",
    stdin: str | bytes | None = None,
    tmp: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """`pybuild ARGS` as `user` with the store in `root`."""
    environment = pybuild_environment(user=user, root=root, tmp=tmp) | dict(env or {})
    argv = pybuild_argv(args, user=user)
    return run(argv, env=environment, cwd=cwd, stdin=stdin, timeout_s=timeout_s)


def tool(name: str) -> str:
    """A program of the virtual environment that runs the tests."""
    return str(Path(sys.prefix) / "bin" / name)
