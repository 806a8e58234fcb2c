"""run --init: a first process that does what most programs don't."""

from __future__ import annotations

import time

import pytest

from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture
def app(pybuild: Pybuild) -> Pybuild:
    pybuild.build(pybuild.context({"Dockerfile": "FROM base\n"}), "-t", "app")
    return pybuild


def run(app: Pybuild, *words: str):
    return app("run", "--rm", "--init", "--network", "none", *words)


def test_the_exit_status_is_the_programs(app: Pybuild) -> None:
    assert run(app, "app", "sh", "-c", "exit 7").status == 7
    assert run(app, "app", "sh", "-c", "kill -9 $$").status == 137
    assert run(app, "app", "nosuch").status == 127


def test_the_program_is_the_child_of_a_process_called_init(app: Pybuild) -> None:
    shown = run(app, "app", "sh", "-c", "echo $$ $PPID; tr '\\0' ' ' < /proc/1/cmdline").ok().stdout
    assert shown.split("\n")[0] == "2 1"
    assert shown.split("\n")[1].strip() == "init"


def test_what_a_program_leaves_behind_is_reaped(app: Pybuild) -> None:
    script = "for n in 1 2 3; do sh -c 'sleep 0.05 &'; done; sleep 0.5"
    script += "; grep -l 'State:.Z' /proc/[0-9]*/status"
    assert run(app, "app", "sh", "-c", script).stdout == ""


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_program_without_handlers_hears_a_stop(app: Pybuild, user: str) -> None:
    words = ("run", "-d", "--init", "--name", "c", "-u", user, "--network", "none")
    app(*words, "app", "sleep", "60").ok()
    before = time.monotonic()
    app("stop", "c").ok()
    assert time.monotonic() - before < 8
    assert app("wait", "c").ok().stdout == "143\n"


def test_its_memory_cannot_be_looked_into(app: Pybuild) -> None:
    for name in ("environ", "maps", "exe"):
        assert run(app, "-u", "1000", "app", "cat", f"/proc/1/{name}").status != 0
