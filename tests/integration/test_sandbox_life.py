"""How processes in the sandbox start, end, and are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of, require_kind
from support.sandbox import Sandbox, sandbox_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

FOREVER = "sleep 1000 & sleep 1000 & while :; do sleep 1000; done"


@pytest.fixture(scope="module", params=["root", "rootless"])
def kind(request: pytest.FixtureRequest) -> str:
    require_kind(request.param)
    return request.param


@pytest.fixture(scope="module")
def sandbox(kind: str) -> Iterator[Sandbox]:
    with sandbox_of(person_of(kind)) as running:
        yield running


@pytest.fixture
def own_sandbox(kind: str) -> Iterator[Sandbox]:
    """For a test that breaks it."""
    with sandbox_of(person_of(kind)) as running:
        yield running


def descendants(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children}.union(*(descendants(int(c)) for c in children))


def wait_until(condition, timeout_s: float = 10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_exit_code_is_the_programs_own(sandbox: Sandbox):
    assert [sandbox.shell(f"exit {code}").code for code in (0, 1, 42, 255)] == [0, 1, 42, 255]


def test_a_signal_from_outside_gives_128_and_its_number(sandbox: Sandbox):
    pid = sandbox.start(FOREVER)
    sandbox.call("signal", pid, signal.SIGKILL)
    assert sandbox.call("wait", pid, 10) == {"code": 137, "signal": 9}


def test_a_handled_signal_reaches_the_first_process(sandbox: Sandbox):
    pid = sandbox.start("trap 'exit 7' TERM; while :; do sleep 0.05; done")
    wait_until(lambda: int(signals_caught(pid), 16) & 1 << (signal.SIGTERM - 1))
    sandbox.call("signal", pid, signal.SIGTERM)
    assert sandbox.call("wait", pid, 10) == {"code": 7, "signal": 0}


def signals_caught(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("SigCgt"))


def test_no_signal_is_ignored_or_blocked_at_the_start(sandbox: Sandbox):
    ran = sandbox.run("grep", "-E", "SigIgn|SigBlk", "/proc/self/status")
    assert [int(line.split()[1], 16) for line in ran.lines] == [0, 0]


def test_waiting_ends_with_the_timeout(sandbox: Sandbox):
    pid = sandbox.start(FOREVER)
    assert sandbox.call("wait", pid, 0.05) is None
    sandbox.call("signal", pid, signal.SIGKILL)
    assert sandbox.call("wait", pid, 10)


def test_all_processes_end_with_the_first_one(sandbox: Sandbox):
    before = descendants(sandbox.driver.pid)
    ran = sandbox.shell("(sleep 1000 &) ; setsid sleep 1000 & exit 3")
    assert ran.code == 3
    assert descendants(sandbox.driver.pid) - before - server_of(sandbox) == set()


def server_of(sandbox: Sandbox) -> set[int]:
    children = Path(f"/proc/{sandbox.driver.pid}/task/{sandbox.driver.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


def test_a_missing_program_is_127(sandbox: Sandbox):
    for program in ("nothing-here", "/nothing/here", "bin/nothing"):
        ran = sandbox.run(program)
        assert (ran.error, ran.status) == ("program-not-found", 127)
        assert program in ran.message


@pytest.mark.parametrize(
    "prepared",
    [
        "mkdir -p /tmp/p",
        "echo text > /tmp/p; chmod 644 /tmp/p",
        "echo true > /tmp/p; chmod 755 /tmp/p",  # a script without #!
    ],
)
def test_what_cannot_be_executed_is_126(sandbox: Sandbox, prepared: str):
    sandbox.shell(f"rm -rf /tmp/p; {prepared}")
    ran = sandbox.run("/tmp/p")
    assert (ran.error, ran.status) == ("program-not-executable", 126)


def test_a_script_whose_interpreter_is_missing_is_127_and_says_so(sandbox: Sandbox):
    sandbox.shell("rm -rf /tmp/p; printf '#!/no/interpreter\\n' > /tmp/p; chmod 755 /tmp/p")
    ran = sandbox.run("/tmp/p")
    assert (ran.error, ran.status) == ("program-not-found", 127)
    assert "interpreter" in ran.message


def test_a_program_is_found_in_path_past_what_cannot_be_executed(sandbox: Sandbox):
    sandbox.shell("mkdir -p /tmp/a; echo > /tmp/a/true; chmod 644 /tmp/a/true")
    assert sandbox.run("true", env=["PATH=/tmp/missing:/tmp/a:/bin"]).code == 0
    assert sandbox.run("true", env=["PATH=/tmp/a"]).status == 126


def test_the_search_path_is_of_the_image_and_not_of_the_caller(sandbox: Sandbox):
    assert sandbox.run("true", env=["PATH=/usr/bin"]).status == 127


def test_eight_run_at_once_each_apart_from_the_others(sandbox: Sandbox):
    script = "echo {0} > /dev/shm/mine; sleep 0.3; echo $$ $(cat /dev/shm/mine); exit {0}"
    started = time.monotonic()
    ran = sandbox.shells([script.format(number) for number in range(8)])
    assert time.monotonic() - started < 2.0
    assert [(each.code, each.output) for each in ran] == [(n, f"1 {n}\n") for n in range(8)]


def test_killing_the_caller_takes_everything_down(own_sandbox: Sandbox):
    own_sandbox.start(FOREVER)
    own_sandbox.start(FOREVER)
    wait_until(lambda: len(descendants(own_sandbox.driver.pid)) == 9)
    family = descendants(own_sandbox.driver.pid)
    os.kill(own_sandbox.driver.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, family)))


def test_killing_the_server_takes_its_children_down_and_is_told(own_sandbox: Sandbox):
    pid = own_sandbox.start(FOREVER)
    (server,) = server_of(own_sandbox)
    os.kill(server, signal.SIGKILL)
    assert own_sandbox.call("wait", pid, 10) == {"code": 137, "signal": 9}
    wait_until(lambda: not alive(pid))
    assert own_sandbox.run("true").error == "isolation"


def test_a_thousandth_run_leaves_no_more_descriptors_and_mounts_than_the_first(sandbox: Sandbox):
    sandbox.shell("true")
    before = sandbox.call("facts")
    for _ in range(20):
        sandbox.shell("true")
        sandbox.run("missing")
    (server,) = server_of(sandbox)
    assert sandbox.call("facts") == before
    assert len(os.listdir(f"/proc/{server}/fd")) < 8


def test_a_terminal_is_a_pty_of_the_containers_own_with_a_size(sandbox: Sandbox):
    script = "read go; tty; stty size; ls -1 /dev/pts; ls -l /dev/console; id -u"
    ran = sandbox.shell(script, terminal=True)
    lines = [line.rstrip("\r") for line in ran.lines]
    assert lines[1:5] == ["/dev/pts/0", "33 77", "0", "ptmx"]
    assert "/dev/console" in lines[5]


def test_a_terminal_belongs_to_the_user(sandbox: Sandbox):
    ran = sandbox.shell(
        "read go; stat -c %u $(tty); echo x > /dev/tty", terminal=True, credentials=[100, 101, []]
    )
    assert "100" in [line.rstrip("\r") for line in ran.lines]
    assert ran.code == 0


def test_a_group_freezes_and_thaws_all_processes_where_the_system_allows_it(sandbox: Sandbox):
    files = sandbox.call("make_group", "frozen-test")
    if not files:
        pytest.skip("no control group that this user may make")
    endless = "while :; do echo x >> /tmp/ticks; sleep 0.01; done"
    pid = sandbox.start(endless, cgroup_files=files)
    ticks = sandbox.upperdir / "tmp" / "ticks"
    wait_until(ticks.exists)
    try:
        sandbox.call("freeze")
        size = ticks.stat().st_size
        time.sleep(0.1)
        assert ticks.stat().st_size == size
        sandbox.call("thaw")
        wait_until(lambda: ticks.stat().st_size > size)
    finally:
        sandbox.call("signal", pid, signal.SIGKILL)
        sandbox.call("wait", pid, 10)
        sandbox.call("remove_group")


def started_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_the_program_runs_when_the_caller_has_done_its_part(sandbox: Sandbox):
    hooks = {"on_clone": "first", "before_execute": "second"}
    ran = sandbox.run("cat", "/on_clone", "/before_execute", hooks=hooks, network="private")
    assert (ran.code, ran.output) == (0, "firstsecond")


@pytest.mark.parametrize("name", ["on_clone", "before_execute"])
def test_a_hook_that_fails_ends_the_start_with_its_own_error(sandbox: Sandbox, name: str):
    ran = sandbox.run("true", hooks={name: "fail"})
    assert ran.message == f"{name} fails"


def test_a_process_joins_the_namespaces_of_another(sandbox: Sandbox):
    pid = sandbox.start(FOREVER, network="none", hostname="other")
    kinds = ("net", "ipc", "uts", "pid")
    joined = [(kind, pid, started_ticks(pid)) for kind in kinds]
    script = "".join(f"readlink /proc/self/ns/{kind};" for kind in kinds) + "hostname; echo $$"
    ran = sandbox.shell(script, joined=joined)
    expected = [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds]
    assert ran.lines[:5] == [*expected, "other"], ran
    assert int(ran.lines[5]) > 1
    assert alive(pid)
    sandbox.call("signal", pid, signal.SIGKILL)
    assert sandbox.call("wait", pid, 10)["signal"] == signal.SIGKILL


def test_a_process_that_got_the_pid_of_another_is_not_taken_for_it(sandbox: Sandbox):
    pid = sandbox.start(FOREVER)
    ran = sandbox.run("true", joined=[("ipc", pid, started_ticks(pid) + 1)])
    assert "has ended" in ran.message
    sandbox.call("signal", pid, signal.SIGKILL)
    assert sandbox.call("wait", pid, 10)["signal"] == signal.SIGKILL
