"""Containers from create to rm: commands that change what a container does, and what they say."""

from __future__ import annotations

import json
import time

import pytest

from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

LOOP = 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done'


@pytest.fixture
def app(pybuild: Pybuild) -> Pybuild:
    pybuild.build(pybuild.context({"Dockerfile": "FROM base\nCMD echo hello\n"}), "-t", "app")
    return pybuild


def status_of(pybuild: Pybuild, name: str) -> str:
    return pybuild("inspect", "-f", "{{.State.Status}}", name).ok().stdout.strip()


def wait_for_output(pybuild: Pybuild, name: str, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in pybuild("logs", name).ok().stdout:
        assert time.monotonic() < deadline, pybuild("ps", "-a").output
        time.sleep(0.05)


def detached(pybuild: Pybuild, name: str, script: str, *options: str) -> None:
    words = ("run", "-d", "--name", name, "--network", "none", *options, "app", "sh", "-c", script)
    pybuild(*words).ok()


def test_a_created_container_waits_for_its_start(app: Pybuild) -> None:
    container_id = app("create", "--name", "c", "--network", "none", "app").ok().stdout.strip()
    assert len(container_id) == 64
    assert status_of(app, "c") == "created"
    assert app("logs", "c").ok().output == ""
    assert app("start", "c").ok().stdout == "c\n"
    assert app("wait", "c").ok().stdout == "0\n"
    assert app("logs", "c").ok().stdout == "hello\n"
    assert status_of(app, "c") == "exited"
    app("start", "c").ok()
    app("wait", "c").ok()
    assert app("logs", "c").ok().stdout == "hello\nhello\n"
    assert app("rm", "c").ok().stdout == "c\n"


def test_start_in_the_foreground_gives_input_and_the_exit_status(app: Pybuild) -> None:
    words = ("--name", "c", "-i", "--network", "none", "app", "sh", "-c", "cat; exit 7")
    app("create", *words).ok()
    started = app("start", "-ai", "c", stdin="typed\n")
    assert (started.status, started.stdout) == (7, "typed\n")
    assert app("ps", "-aq").ok().stdout != ""


def test_a_created_container_with_rm_goes_at_its_end_and_not_before(app: Pybuild) -> None:
    app("create", "--rm", "--name", "c", "--network", "none", "app").ok()
    app("run", "--rm", "--network", "none", "app", "true").ok()  # sweeps
    assert status_of(app, "c") == "created"
    assert app("start", "-a", "c").ok().stdout == "hello\n"
    assert app("ps", "-aq").ok().stdout == ""


def test_stop_lets_a_container_end_in_good_order(app: Pybuild) -> None:
    detached(app, "c", LOOP)
    wait_for_output(app, "c", "up")
    assert app("stop", "c").ok().stdout == "c\n"
    assert app("wait", "c").ok().stdout == "3\n"
    assert app("logs", "c").ok().stdout == "up\nbye\n"
    assert app("stop", "c").ok().stdout == "c\n"  # it is stopped already


def test_stop_kills_what_does_not_end(app: Pybuild) -> None:
    detached(app, "c", 'trap "" TERM; echo up; while :; do sleep 0.05; done')
    wait_for_output(app, "c", "up")
    before = time.monotonic()
    app("stop", "-t", "1", "c").ok()
    assert 0.9 < time.monotonic() - before < 9
    assert app("wait", "c").ok().stdout == "137\n"


def test_a_container_has_a_stop_signal_and_timeout_of_its_own(app: Pybuild) -> None:
    script = 'trap "exit 5" USR1; trap "" TERM; echo up; while :; do sleep 0.05; done'
    detached(app, "c", script, "--stop-signal", "USR1", "--stop-timeout", "-1")
    wait_for_output(app, "c", "up")
    app("stop", "c").ok()
    assert app("wait", "c").ok().stdout == "5\n"


def test_kill_sends_any_signal(app: Pybuild) -> None:
    detached(app, "c", 'trap "echo heard" HUP; echo up; while :; do sleep 0.05; done')
    wait_for_output(app, "c", "up")
    app("kill", "--signal", "HUP", "c").ok()
    wait_for_output(app, "c", "heard")
    assert app("kill", "c").ok().stdout == "c\n"
    assert app("wait", "c").ok().stdout == "137\n"
    again = app("kill", "c")
    assert again.status == 1
    assert "not running" in again.stderr
    assert app("kill", "-s", "NOSUCH", "c").status == 1


def test_a_paused_container_stands_still(app: Pybuild) -> None:
    detached(app, "c", "while :; do date +%N; sleep 0.02; done")
    wait_for_output(app, "c", "\n")
    assert app("pause", "c").ok().stdout == "c\n"
    assert status_of(app, "c") == "paused"
    assert "(Paused)" in app("ps").ok().stdout
    first = app("logs", "c").ok().stdout
    time.sleep(0.3)
    assert app("logs", "c").ok().stdout == first
    assert app("pause", "c").status == 1
    assert app("unpause", "c").ok().stdout == "c\n"
    assert app("unpause", "c").status == 1
    wait_for_output(app, "c", first + "")
    time.sleep(0.2)
    assert len(app("logs", "c").ok().stdout) > len(first)
    app("pause", "c").ok()
    app("rm", "-f", "c").ok()


def test_restart_begins_anew(app: Pybuild) -> None:
    detached(app, "c", LOOP)
    wait_for_output(app, "c", "up")
    pid = app("inspect", "-f", "{{.State.Pid}}", "c").ok().stdout
    assert app("restart", "c").ok().stdout == "c\n"
    wait_for_output(app, "c", "up\nbye\nup")
    assert app("inspect", "-f", "{{.State.Pid}}", "c").ok().stdout != pid
    app("rm", "-f", "c").ok()


def test_an_error_about_one_container_keeps_nobody_else_from_it(app: Pybuild) -> None:
    for name in ("a", "b"):
        app("create", "--name", name, "--network", "none", "app", "sleep", "60").ok()
    started = app("start", "a", "missing", "b")
    assert (started.status, started.stdout) == (1, "a\nb\n")
    assert "missing" in started.stderr
    assert app("ps", "-q").ok().stdout.count("\n") == 2
    stopped = app("stop", "-t", "0", "missing", "a", "b")
    assert (stopped.status, stopped.stdout) == (1, "a\nb\n")
    assert app("rm", "a", "missing", "b").stdout == "a\nb\n"


def test_a_name_can_be_given_to_another(app: Pybuild) -> None:
    detached(app, "old", "sleep 60")
    app("rename", "old", "new").ok()
    app("create", "--name", "old", "--network", "none", "app").ok()
    taken = app("rename", "old", "new")
    assert taken.status == 1
    assert "already" in taken.stderr
    assert app("rename", "new", "bad name").status == 1
    assert set(app("ps", "-a", "--format", "{{.Names}}").ok().stdout.split()) == {"new", "old"}
    app("rm", "-f", "new").ok()


def test_a_forced_removal_of_what_is_not_there_is_no_failure(app: Pybuild) -> None:
    gone = app("rm", "-f", "missing").ok()
    assert "missing" in gone.stderr
    assert app("rm", "missing").status == 1


def test_logs_can_be_asked_for_in_part(app: Pybuild) -> None:
    script = "for n in 1 2 3; do echo out $n; echo err $n >&2; sleep 0.3; done"
    detached(app, "c", script, "-l", "a=b", "--log-opt", "labels=a")
    followed = app("logs", "--follow", "c").ok()
    assert followed.stdout == "out 1\nout 2\nout 3\n"
    assert followed.stderr == "err 1\nerr 2\nerr 3\n"
    assert app("logs", "--tail", "1", "c").ok().stderr == "err 3\n"
    stamped = app("logs", "-t", "c").ok().stdout.splitlines()
    times = [line.split()[0] for line in stamped]
    assert [line.split(maxsplit=1)[1] for line in stamped] == ["out 1", "out 2", "out 3"]
    assert times == sorted(times)
    assert app("logs", "--since", times[1], "c").ok().stdout == "out 2\nout 3\n"
    assert app("logs", "--until", times[1], "c").ok().stdout == "out 1\nout 2\n"
    assert app("logs", "--details", "--tail", "2", "c").ok().stdout == "a=b out 3\n"
    assert app("logs", "--tail", "x", "c").status == 2


def test_logs_are_followed_across_rotation(app: Pybuild) -> None:
    script = "n=0; while [ $n -lt 400 ]; do echo line number $n; n=$((n + 1)); done; sleep 0.2"
    app(
        *("create", "--name", "c", "--network", "none"),
        *("--log-opt", "max-size=8k", "--log-opt", "max-file=20"),
        *("app", "sh", "-c", script),
    ).ok()
    app("start", "c").ok()
    followed = app("logs", "-f", "c").ok().stdout
    assert followed.splitlines() == [f"line number {number}" for number in range(400)]
    assert len(list(app.root.glob("containers/*/container.log*"))) > 3


def test_a_container_without_a_log_says_so(app: Pybuild) -> None:
    detached(app, "c", "true", "--log-driver", "none")
    refused = app("logs", "c")
    assert refused.status == 1
    assert "--log-driver none" in refused.stderr


def test_what_happens_can_be_read_afterwards_and_meanwhile(app: Pybuild) -> None:
    detached(app, "c", "exit 3")
    app("wait", "c").ok()
    app("rm", "c").ok()
    words = ("events", "--since", "1h", "--until", "0s", "--filter", "container=c")
    lines = app(*words, "--format", "json").ok().stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["Action"] for one in found] == ["create", "start", "die", "destroy"]
    assert found[2]["Actor"]["Attributes"]["exitCode"] == "3"
    only = app(*words, "--filter", "event=start", "--format", "{{.Type}} {{.Action}}").ok()
    assert only.stdout == "container start\n"
