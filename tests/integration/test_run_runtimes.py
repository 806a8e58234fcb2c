"""Containers that run through other people's runtimes, as root and rootless."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, end_all, is_alive, wait_until
from support.commands import pybuild_argv, pybuild_environment, run
from support.peers import apart
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox", "runc")]

RUNC = ("--runtime", "runc", "--network", "none")
WAIT = "echo ready; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def name(box: Pybuild) -> Iterator[str]:
    yield "through"
    end_all(box)
    box("rm", "-f", "through")


def detached(box: Pybuild, name: str, *args: str) -> int:
    """The pid of the first process of a new container."""
    box("run", "-d", "--name", name, *RUNC, *args).ok()
    return int(box("inspect", "-f", "{{.State.Pid}}", name).ok().stdout)


def status(box: Pybuild, name: str) -> str:
    return box("ps", "-a", "-f", f"name={name}", "--format", "{{.Status}}").ok().stdout.strip()


def output_of(box: Pybuild, name: str) -> str:
    return box("logs", name).ok().stdout


def runtime_states(box: Pybuild) -> list[Path]:
    return sorted((box.root / "containers").glob("*/oci"))


def monitor_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [parent] = [line.split()[1] for line in lines if line.startswith("PPid:")]
    return int(parent)


def test_a_container_runs_as_its_options_say_and_ends_with_its_own_status(box: Pybuild):
    script = "echo $A; id -u; pwd; hostname; cat; echo complaint >&2; exit 5"
    done = box("run", "--rm", "-i", *RUNC, "-e", "A=b", "-u", "1000", "-w", "/tree", "-h", "inside",
               "box", "sh", "-c", script, stdin="typed\n")  # fmt: skip
    assert done.stdout == "b\n1000\n/tree\ninside\ntyped\n"
    assert done.stderr == "complaint\n"
    assert done.status == 5
    assert box("ps", "-aq").ok().stdout == ""


def test_what_the_runtime_makes_is_what_the_built_in_sandbox_makes(box: Pybuild):
    script = (
        "grep -E '^(CapBnd|CapEff|CapInh|CapAmb|Seccomp|NoNewPrivs):' /proc/self/status; umask;"
        "ls /sys/class/net; ls /dev | grep -v core; cat /etc/hostname /proc/keys; ls /proc/kcore;"
        "touch /proc/sys/kernel/x; echo $HOME; ulimit -n"
    )
    options = ("-h", "box", "--network", "none", "--ulimit", "nofile=100:200", "--cap-drop", "KILL")
    built_in = box("run", "--rm", *options, "box", "sh", "-c", script)
    runtime = box("run", "--rm", "--runtime", "runc", *options, "box", "sh", "-c", script)
    assert runtime.stdout == built_in.stdout


@pytest.mark.needs("crun")
def test_crun_runs_containers_too(box: Pybuild):
    words = ("run", "--rm", "--runtime", "crun", "--network", "none", "box",
             "sh", "-c", "id -u; exit 6")  # fmt: skip
    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    done = run(apart(pybuild_argv(words, user=box.user)), env=environment, cwd=box.folder)
    assert (done.stdout, done.status) == ("0\n", 6), done


def test_a_privileged_container_has_what_the_built_in_sandbox_gives_it(box: Pybuild):
    args = ("--privileged", "--network", "none", "box", "grep", "CapEff", "/proc/self/status")
    assert (
        box("run", "--rm", "--runtime", "runc", *args).ok().stdout
        == box("run", "--rm", *args).ok().stdout
    )


def test_volumes_and_changes_stay_as_with_any_container(box: Pybuild, name: str):
    shared = box.context({"file": "the host's\n"}, name="shared")
    script = "cat /in/file /data/file; echo new > /in/made; echo x > /kept"
    args = ("-v", f"{shared}:/in", "--name", name, "volumes", "sh", "-c", script)
    assert box("run", *RUNC, *args).ok().stdout == "the host's\nfrom the image\n"
    assert (shared / "made").read_text() == "new\n"
    assert "A /kept" in box("diff", name).ok().stdout.splitlines()
    assert runtime_states(box) == []


def test_a_detached_container_is_seen_entered_paused_and_stopped(box: Pybuild, name: str):
    pid = detached(box, name, "box", "sh", "-c", f"trap 'echo bye; exit 7' TERM; {WAIT}")
    wait_until(lambda: output_of(box, name) == "ready\n", "it is ready")
    assert box("inspect", "-f", "{{.HostConfig.Runtime}}", name).ok().stdout == "runc\n"
    script = "readlink /proc/self/ns/net; cat /proc/1/cmdline"
    entered = box("exec", name, "sh", "-c", script).ok().stdout
    assert entered.startswith(os.readlink(f"/proc/{pid}/ns/net"))
    assert "trap" in entered
    box("pause", name).ok()
    assert status(box, name).endswith("(Paused)")
    box("unpause", name).ok()
    box("stop", name).ok()
    assert status(box, name).startswith("Exited (7)")
    assert output_of(box, name) == "ready\nbye\n"
    assert not is_alive(pid)
    wait_until(lambda: runtime_states(box) == [], "the runtime has forgotten it")


def test_a_container_can_be_started_again_and_removed_while_it_runs(box: Pybuild, name: str):
    detached(box, name, "box", "sh", "-c", WAIT)
    box("kill", name).ok()
    wait_until(lambda: status(box, name).startswith("Exited (137)"), "it was killed")
    box("start", name).ok()
    pid = int(box("inspect", "-f", "{{.State.Pid}}", name).ok().stdout)
    assert is_alive(pid)
    box("rm", "-f", name).ok()
    wait_until(lambda: not is_alive(pid), "it is gone")
    assert runtime_states(box) == []


def test_the_death_of_the_monitor_is_that_of_the_container(box: Pybuild, name: str):
    pid = detached(box, name, "box", "sh", "-c", WAIT)
    os.kill(monitor_of(pid), signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "it died with its monitor")
    assert status(box, name).startswith("Exited (137)")
    assert runtime_states(box) == []


def test_a_restart_policy_starts_it_through_the_runtime_again(box: Pybuild, name: str):
    box("run", "-d", "--name", name, "--restart", "on-failure:1", *RUNC, "box",
        "sh", "-c", "echo once; exit 3").ok()  # fmt: skip
    wait_until(lambda: output_of(box, name) == "once\nonce\n", "it was started twice")
    wait_until(lambda: status(box, name).startswith("Exited (3)"), "it has given up")


def test_a_terminal_is_the_containers_own(box: Pybuild):
    master_fd, slave_fd = pty.openpty()
    process = box.start("run", "--rm", "-it", *RUNC, "box", "sh", "-c", "tty; echo $TERM",
                        stdin=slave_fd, stdout=slave_fd, stderr=slave_fd)  # fmt: skip
    os.close(slave_fd)
    assert process.wait(30) == 0
    assert os.read(master_fd, 1000) == b"/dev/pts/0\r\nxterm\r\n"
    os.close(master_fd)


def test_a_program_that_is_missing_or_no_program_has_its_status(box: Pybuild):
    assert box("run", "--rm", *RUNC, "box", "no-such-program").status == 127
    assert box("run", "--rm", *RUNC, "box", "/plain.txt").status == 126
    assert box("ps", "-aq").ok().stdout == ""
    assert runtime_states(box) == []


def test_a_runtime_that_fails_is_quoted(box: Pybuild, name: str):
    runtime = box.folder / "failing"
    runtime.write_text(
        '#!/bin/sh\nwhile [ "$1" != --log ]; do shift; done\n'
        'echo \'{"level":"error","msg":"the moon is full"}\' >> "$2"; exit 1\n'
    )
    runtime.chmod(0o755)
    done = box("run", "--name", name, "--runtime", runtime, "--network", "none", "box", "true")
    assert done.status == 125
    assert "failing create failed: the moon is full" in done.stderr
    assert runtime_states(box) == []


def test_a_runtime_that_is_not_there_makes_no_container(box: Pybuild):
    done = box("run", "--runtime", "/no/such/runtime", "box", "true")
    assert done.status == 125
    assert "/no/such/runtime" in done.stderr
    assert box("ps", "-aq").ok().stdout == ""


def test_the_built_in_runtime_has_a_name_too(box: Pybuild):
    args = ("--rm", "--runtime", "pybuild", "--network", "none", "box", "echo", "hi")
    assert box("run", *args).ok().stdout == "hi\n"


def test_a_container_that_ends_before_the_runtime_has_keeps_its_status(box: Pybuild):
    for _ in range(5):
        assert box("run", "--rm", *RUNC, "box", "sh", "-c", "exit 9").status == 9
