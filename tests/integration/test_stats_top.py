"""`pybuild stats` and `pybuild top` of running containers, as root and rootless."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, running, wait_until
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

IDLE = "echo ready; sleep 100 & sleep 100; true"
BUSY = "echo ready; while :; do :; done"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


def shown(box: Pybuild, *args: str) -> list[dict[str, str]]:
    done = box("stats", "--no-stream", "--format", "json", *args).ok()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_busy_container_uses_a_processor_and_an_idle_one_none(box: Pybuild):
    with (
        running(box, "--name", "busy", "box", "sh", "-c", BUSY),
        running(box, "--name", "idle", "box", "sh", "-c", IDLE),
    ):
        found = {item["Name"]: item for item in shown(box)}
        assert float(found["busy"]["CPUPerc"].rstrip("%")) > 5
        assert float(found["idle"]["CPUPerc"].rstrip("%")) < 5
        assert int(found["idle"]["PIDs"]) == 3
        for item in found.values():
            used, limit = item["MemUsage"].split(" / ")
            assert used[0].isdigit()
            assert used != "0B"
            assert limit.endswith("GiB")
        (one,) = shown(box, "idle")
        assert (one["Container"], one["Name"]) == ("idle", "idle")


def test_the_table_is_dockers(box: Pybuild):
    with running(box, "--name", "idle", "box", "sh", "-c", IDLE):
        heading, row = box("stats", "--no-stream").ok().stdout.splitlines()
        assert heading.split("  ")[0] == "CONTAINER ID"
        words = "NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
        assert " ".join(heading.split())[len("CONTAINER ID ") :] == words
        container_id = box("ps", "-q").ok().stdout.strip()
        assert row.startswith(f"{container_id}   idle ")


def test_a_container_that_does_not_run_has_no_figures(box: Pybuild):
    box("run", "--name", "over", "box", "true").ok()
    assert shown(box) == []
    (item,) = shown(box, "over")
    assert (item["CPUPerc"], item["PIDs"]) == ("--", "--")
    (item,) = shown(box, "--all")
    assert item["Name"] == "over"
    done = box("top", "over")
    assert done.status == 1
    assert "not running" in done.stderr
    box("rm", "over").ok()
    assert box("stats", "--no-stream", "over").status == 1


def test_on_a_terminal_the_figures_are_drawn_again_and_again(box: Pybuild):
    with running(box, "--name", "idle", "box", "sh", "-c", IDLE):
        controller, terminal = pty.openpty()
        process = box.start("stats", stdout=terminal, stderr=terminal)
        os.close(terminal)
        output = b""
        deadline = time.monotonic() + 20
        while output.count(b"CONTAINER ID") < 2 and time.monotonic() < deadline:
            if select.select([controller], [], [], 0.2)[0]:
                output += os.read(controller, 65536)
        process.send_signal(signal.SIGINT)
        process.wait(10)
        os.close(controller)
        assert output.count(b"CONTAINER ID") >= 2
        assert output.count(b"\x1b[H") >= 2


def test_top_shows_the_processes_as_this_machine_counts_them(box: Pybuild):
    with running(box, "--name", "idle", "box", "sh", "-c", IDLE):
        first = box("inspect", "-f", "{{.State.Pid}}", "idle").ok().stdout.strip()
        wait_until(lambda: len(box("top", "idle").ok().stdout.splitlines()) == 4)
        heading, *rows = box("top", "idle").ok().stdout.splitlines()
        assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        pids = [row.split()[1] for row in rows]
        assert pids[0] == first
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        assert [row.split()[7] for row in rows] == ["sh", "sleep", "sleep"]


@pytest.mark.needs("ps")
def test_top_takes_the_options_of_ps(box: Pybuild):
    with running(box, "--name", "idle", "box", "sh", "-c", IDLE):
        found = box("top", "idle", "-o", "pid,args").ok().stdout.splitlines()
        assert found[0].split() == ["PID", "COMMAND"]
        assert any(line.endswith("sleep 100") for line in found[1:])
        assert box("top", "idle", "-o", "user").status == 2
        assert box("top", "idle", "--no-such-option").status == 2
