"""Containers that run without their command: -d, exec, attach, restarts, health, sudden ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import person_of
from support.boxes import box_of, end_all, is_alive, running, wait_until
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

FOREVER = "trap 'exit 5' TERM; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def up(box: Pybuild) -> Iterator[str]:
    """The id of a container that runs."""
    container_id = detached(box, "--name", "up", "box", "sh", "-c", FOREVER)
    yield container_id
    box("rm", "-f", "up")


def detached(box: Pybuild, *args: str) -> str:
    return box("run", "-d", "--network", "none", *args).ok().stdout.strip()


def state(box: Pybuild, name: str) -> dict[str, Any]:
    return box.inspect(name)["State"]


def log(box: Pybuild, container_id: str) -> list[str]:
    path = box.root / "containers" / container_id / "container.log"
    return [json.loads(line)["log"] for line in path.read_text().splitlines()]


def ended(box: Pybuild, name: str) -> bool:
    return state(box, name)["Status"] == "exited"


def monitor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_id_is_printed_and_the_container_runs_on(box: Pybuild, up: str):
    assert len(up) == 64
    assert state(box, "up")["Running"]
    assert is_alive(state(box, "up")["Pid"])
    assert box("run", "-d", "--name", "up", "box", "true").status == 125


def test_what_cannot_start_is_told_by_the_command(box: Pybuild):
    done = box("run", "-d", "--rm", "box", "no-such-program")
    assert (done.status, done.stdout) == (127, "")


def test_its_output_is_in_the_log_and_its_exit_code_in_the_state(box: Pybuild):
    container_id = detached(
        box, "--name", "logged", "box", "sh", "-c", "echo a; echo b >&2; exit 4"
    )
    wait_until(lambda: ended(box, "logged"))
    assert sorted(log(box, container_id)) == ["a\n", "b\n"]
    assert state(box, "logged")["ExitCode"] == 4
    box("rm", "logged").ok()


def test_with_rm_it_is_gone_after_its_end(box: Pybuild):
    before = set(os.listdir(box.root / "containers"))
    detached(box, "--rm", "box", "sleep", "0.2")
    wait_until(lambda: set(os.listdir(box.root / "containers")) == before)


def test_a_policy_starts_it_again_and_a_kill_ends_that(box: Pybuild):
    script = "echo run; sleep 0.1; exit 3"
    container_id = detached(
        box, "--name", "again", "--restart", "on-failure:2", "box", "sh", "-c", script
    )
    wait_until(lambda: ended(box, "again") and len(log(box, container_id)) == 3)
    assert box.inspect("again")["RestartCount"] == 2
    box("rm", "again").ok()
    detached(box, "--name", "always", "--restart", "always", "box", "sleep", "0.1")
    wait_until(lambda: box.inspect("always")["RestartCount"] > 0)
    box("rm", "-f", "always").ok()
    assert "always" not in box("ps", "-a").ok().stdout


def health(box: Pybuild, container_id: str) -> dict[str, Any]:
    return json.loads((box.root / "containers" / container_id / "health.json").read_text())


def test_a_health_check_tells_how_the_container_is(box: Pybuild):
    options = ("--health-interval", "100ms", "--health-retries", "2", "--health-timeout", "400ms")
    command = "echo looked; test -e /hang && sleep 100; test -e /ok"
    name = detached(box, "--health-cmd", command, *options, "box", "sh", "-c", FOREVER)
    assert health(box, name)["Status"] in {"starting", "unhealthy"}
    wait_until(lambda: health(box, name)["Status"] == "unhealthy")
    assert health(box, name)["Log"][-1]["ExitCode"] == 1
    assert health(box, name)["Log"][-1]["Output"] == "looked\n"
    box("exec", name, "touch", "/ok").ok()
    wait_until(lambda: health(box, name)["Status"] == "healthy")
    assert len(health(box, name)["Log"]) <= 5
    box("exec", name, "touch", "/hang").ok()
    wait_until(lambda: "exceeded timeout" in health(box, name)["Log"][-1]["Output"])
    box("rm", "-f", name).ok()


def test_exec_runs_in_the_container_and_gives_its_exit_status(box: Pybuild, up: str):
    box("exec", up[:12], "sh", "-c", "echo kept > /file").ok()
    done = box("exec", "up", "sh", "-c", "cat /file; echo err >&2; exit 7")
    assert (done.status, done.stdout, done.stderr) == (7, "kept\n", "err\n")
    assert box("exec", "up", "sh", "-c", "kill -9 $$").status == 137
    assert box("exec", "up", "no-such-program").status == 127
    assert box("exec", "up", "/etc").status == 126
    assert box("exec", "up", "readlink", "/proc/1/ns/pid").stdout == (
        box("exec", "up", "readlink", "/proc/self/ns/pid").stdout
    )


def test_exec_enters_a_container_that_shares_namespaces_with_the_host(box: Pybuild):
    host = os.readlink("/proc/self/ns/net")
    box("run", "-d", "--network", "host", "--name", "shared", "box", "sh", "-c", FOREVER).ok()
    assert box("exec", "shared", "readlink", "/proc/self/ns/net").ok().stdout.strip() == host
    box("rm", "-f", "shared").ok()


def test_exec_takes_stdin_user_directory_and_variables(box: Pybuild, up: str):
    assert box("exec", "-i", "up", "cat", stdin="x\n" * 50_000).ok().stdout == "x\n" * 50_000
    assert box("exec", "up", "cat", stdin="x").ok().stdout == ""
    done = box(
        *("exec", "-u", "app", "-w", "/tmp", "-e", "A=1", "-e", "GIVEN", "up"),
        *("sh", "-c", "id -u; pwd; echo $A$GIVEN $HOME $FROM_IMAGE"),
        env={"GIVEN": "g"},
    )
    assert done.ok().stdout == "1000\n/tmp\n1g /tmp yes\n"
    assert box("exec", "-u", "nobody-knows", "up", "true").status == 125
    assert box("exec", "-w", "/missing", "up", "true").status == 125


def test_an_exec_is_as_confined_as_the_first_process(box: Pybuild, up: str):
    script = "grep -E 'Cap(Bnd|Eff|Inh|Amb)|Seccomp:|NoNewPrivs' /proc/%s/status"
    first = box("exec", "up", "sh", "-c", script % "1").ok().stdout
    assert box("exec", "up", "sh", "-c", script % "self").ok().stdout == first
    assert (
        "CapBnd:\t000001ff" in box("exec", "--privileged", "up", "sh", "-c", script % "self").stdout
    )
    group = box("exec", "up", "cat", "/proc/1/cgroup", "/proc/self/cgroup").ok().stdout.splitlines()
    assert group[: len(group) // 2] == group[len(group) // 2 :]


def test_an_exec_that_leaves_a_process_behind_ends_nevertheless(box: Pybuild, up: str):
    began = time.monotonic()
    assert box("exec", "up", "sh", "-c", "sleep 100 & echo done").ok().stdout == "done\n"
    assert time.monotonic() - began < 10


def test_an_exec_without_a_client_goes_on(box: Pybuild, up: str):
    box("exec", "-d", "up", "sh", "-c", "sleep 0.1; echo late > /late; sleep 100").ok()
    wait_until(lambda: box("exec", "up", "cat", "/late").stdout == "late\n")
    client = box.start("exec", "up", "sh", "-c", "echo ready; sleep 77")
    assert client.stdout is not None
    assert client.stdout.readline() == b"ready\n"
    client.kill()
    client.communicate()
    assert "sleep 77" in box("exec", "up", "ps").ok().stdout


def test_what_does_not_run_cannot_be_entered(box: Pybuild):
    detached(box, "--name", "over", "box", "true")
    wait_until(lambda: ended(box, "over"))
    for command in (("exec", "over", "true"), ("attach", "over")):
        done = box(*command)
        assert done.status == 125
        assert "not running" in done.stderr
    box("rm", "over").ok()


@contextmanager
def attached(box: Pybuild, *args: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = box.start("attach", *args, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            end_all(box)
            process.kill()
        process.communicate()


def test_attach_shows_what_comes_passes_signals_on_and_gives_the_exit_status(box: Pybuild):
    script = f"trap 'echo usr' USR1; {FOREVER}"
    detached(box, "--name", "seen", "box", "sh", "-c", script)
    with attached(box, "seen") as first, attached(box, "--sig-proxy=false", "seen") as second:
        assert first.stdout is not None
        assert second.stdout is not None
        deadline = time.monotonic() + 15
        while not select.select([first.stdout, second.stdout], (), (), 0.1)[0]:
            first.send_signal(signal.SIGUSR1) if time.monotonic() > deadline - 14 else None
            assert time.monotonic() < deadline
        assert first.stdout.readline() == b"usr\n"
        first.send_signal(signal.SIGTERM)
        assert first.wait(15) == 5
        second.wait(15)
    box("rm", "seen").ok()


def test_a_client_that_is_killed_or_never_reads_does_not_stop_the_container_for_ever(box: Pybuild):
    script = "trap 'exit 6' TERM; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; "
    with running(
        box, "--name", "loud", "box", "sh", "-c", f"echo ready; sleep 0.3; {script}"
    ) as one:
        with attached(box, "loud") as other:
            time.sleep(0.2)
            other.kill()  # has read nothing
            other.wait(15)
        assert one.stdout is not None
        assert one.stdout.read().splitlines()[-1] == b"line 3000"
        assert one.wait(15) == 0
    box("rm", "-f", "loud").ok()


def test_when_client_and_monitor_are_killed_nothing_is_left_and_the_next_command_tells_so(
    box: Pybuild,
):
    with running(box, "--name", "both", "box", "sh", "-c", f"echo ready; {FOREVER}") as client:
        pid = state(box, "both")["Pid"]
        monitor = monitor_of(pid)
        os.kill(monitor, signal.SIGKILL)
        client.kill()
        client.wait(15)
        wait_until(lambda: not is_alive(pid) and not is_alive(monitor))
    assert state(box, "both")["ExitCode"] == 137
    box("rm", "both").ok()


def test_a_killed_monitor_of_a_detached_container_takes_its_execs_with_it(box: Pybuild, up: str):
    box("exec", "-d", "up", "sleep", "78").ok()
    pid = state(box, "up")["Pid"]
    inner = pids_below(monitor_of(pid))
    assert len(inner) >= 2
    os.kill(monitor_of(pid), signal.SIGKILL)
    wait_until(lambda: not sum(map(adopted_is_alive, inner)))
    assert state(box, "up")["Status"] == "exited"


def adopted_is_alive(pid: int) -> bool:
    """The kernel ends a pid namespace when all in it were waited for: by this process, now."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return is_alive(pid)


def pids_below(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_a_monitor_is_small(box: Pybuild, up: str):
    """Its own memory; that of the interpreter's file is shared with all others that run."""
    pid = monitor_of(state(box, "up")["Pid"])
    private = sum(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_Dirty")
    )
    assert private < 6 * 1024
