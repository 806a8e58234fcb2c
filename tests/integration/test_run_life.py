"""Signals, terminals, sudden ends: a container from outside, as root and rootless."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from conftest import person_of
from support.boxes import box_of, end_all, is_alive, running, wait_until
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

WAIT = "echo ready; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


def status(box: Pybuild, name: str) -> str:
    text = box("ps", "-a", "-f", f"name={name}", "--format", "{{.Status}}").ok().stdout
    return text.strip()


def container_pid(box: Pybuild, name: str) -> int:
    return int(box("inspect", "-f", "{{.State.Pid}}", name).ok().stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_pybuild_reaches_the_process(box: Pybuild, number: signal.Signals):
    script = f"trap 'echo got; exit 7' {number}; {WAIT}"
    with running(box, "--rm", "box", "sh", "-c", script) as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == b"got\n"
        assert process.wait(15) == 7


def test_real_time_signals_and_sigtstp_are_passed_on_too(box: Pybuild):
    script = f"trap 'echo rt' 40; trap 'echo stop; exit 3' TSTP; {WAIT}"
    with running(box, "--rm", "box", "sh", "-c", script) as process:
        process.send_signal(40)
        assert process.stdout is not None
        assert process.stdout.readline() == b"rt\n"
        process.send_signal(signal.SIGTSTP)
        assert process.stdout.read() == b"stop\n"
        assert process.wait(15) == 3


def test_a_signal_that_the_first_process_does_not_handle_does_nothing_as_in_any_pid_namespace(
    box: Pybuild,
):
    script = "echo ready; read line; echo $line"
    with running(box, "--rm", "-i", "box", "sh", "-c", script, stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert process.communicate(b"still here\n", 15)[0] == b"still here\n"


def test_a_container_is_listed_while_it_runs_and_its_exit_after_it(box: Pybuild):
    script = f"trap 'exit 5' TERM; {WAIT}"
    with running(box, "--name", "listed", "box", "sh", "-c", script) as process:
        assert status(box, "listed").startswith("Up ")
        assert "listed" in box("ps").ok().stdout
        assert is_alive(container_pid(box, "listed"))
        process.terminate()
        assert process.wait(15) == 5
    assert status(box, "listed").startswith("Exited (5)")
    assert "listed" not in box("ps").ok().stdout
    assert container_pid(box, "listed") == 0
    box("rm", "listed").ok()


def monitor_pid(box: Pybuild, name: str) -> int:
    """The first process's parent."""
    with open(f"/proc/{container_pid(box, name)}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_a_container_goes_on_when_the_client_in_the_foreground_is_killed(box: Pybuild):
    with running(box, "--name", "left", "box", "sh", "-c", f"trap 'exit 5' TERM; {WAIT}") as client:
        pid = container_pid(box, "left")
        client.kill()
        client.wait(15)
        time.sleep(0.2)
        assert is_alive(pid)
        assert status(box, "left").startswith("Up ")
    box("rm", "-f", "left").ok()
    assert not is_alive(pid)


def test_a_container_dies_with_its_monitor_and_ps_tells_so(box: Pybuild):
    script = f"sleep 1000 & {WAIT}"
    with running(box, "--name", "killed", "volumes", "sh", "-c", script) as process:
        pid = container_pid(box, "killed")
        inner = [pid, *map(int, children(pid))]
        assert len(inner) > 1
        os.kill(monitor_pid(box, "killed"), signal.SIGKILL)
        assert process.wait(15) == 137
        wait_until(lambda: not any(map(is_alive, inner)), "the container's processes live on")
    assert status(box, "killed").startswith("Exited (137)")
    box("rm", "-v", "killed").ok()


def children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def test_a_container_with_rm_whose_processes_were_killed_is_gone_for_the_next_command(
    box: Pybuild,
):
    with running(box, "--rm", "--name", "swept", "box", "sh", "-c", WAIT) as process:
        monitor = monitor_pid(box, "swept")
        process.kill()
        os.kill(monitor, signal.SIGKILL)
        process.wait(15)
        wait_until(lambda: not is_alive(monitor))
    assert status(box, "swept") == ""
    box("run", "--rm", "--name", "swept", "box", "true").ok()
    assert "swept" not in box("ps", "-a").ok().stdout


def test_a_running_container_is_removed_by_force_alone(box: Pybuild):
    with running(box, "--name", "forced", "-u", "app", "box", "sh", "-c", WAIT) as process:
        refused = box("rm", "forced")
        assert refused.status == 1
        assert "running" in refused.stderr
        assert box("rm", "-f", "forced").ok().stdout == "forced\n"
        assert process.wait(15) == 137
    assert status(box, "forced") == ""


def test_removal_goes_on_after_a_name_that_is_unknown(box: Pybuild):
    box("run", "--name", "known", "box", "true").ok()
    done = box("rm", "unknown-one", "known")
    assert done.status == 1
    assert done.stdout == "known\n"
    assert "unknown-one" in done.stderr


def test_a_terminal_is_asked_for_where_there_is_none(box: Pybuild):
    done = box("run", "--rm", "-it", "box", "true", stdin="")
    assert done.status == 125
    assert "the input device is not a TTY" in done.stderr


class Terminal:
    """A pty with `pybuild run -it` or its like on its other end."""

    def __init__(
        self, box: Pybuild, *args: str, size: tuple[int, int] = (33, 101), command: str = "run"
    ) -> None:
        self.box = box
        self.master, self.slave = pty.openpty()
        self.resize(size)
        self.before = termios.tcgetattr(self.slave)
        self.process = box.start(
            command,
            *args,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            preexec_fn=self._take_over,
        )
        self.seen = b""

    def _take_over(self) -> None:
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def read_until(self, text: bytes) -> bytes:
        while text not in self.seen:
            assert select.select([self.master], (), (), 20)[0], self.seen
            self.seen += os.read(self.master, 4096)
        found, _, self.seen = self.seen.partition(text)
        return found

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def close(self) -> None:
        if self.process.poll() is None:
            end_all(self.box)
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(box: Pybuild):
    made: list[Terminal] = []

    def make(*args: str, **options) -> Terminal:
        made.append(Terminal(box, *args, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_terminal_has_the_callers_size_from_the_start_and_follows_it(terminal):
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    shown = terminal("--rm", "-it", "box", "sh", "-c", script)
    shown.read_until(b"33 101\r\n")
    shown.resize((50, 120))
    shown.read_until(b"50 120\r\n")


def test_a_shell_on_the_terminal_takes_lines_and_control_keys(terminal):
    shell = terminal("--rm", "-it", "-e", "PS1=> ", "box", "sh")
    shell.read_until(b"> ")
    shell.type(b"tty; test -t 0 && test -t 1 && test -t 2 && echo all\r")
    shell.read_until(b"\r\n")
    assert shell.read_until(b"\r\n").startswith(b"/dev/")
    shell.read_until(b"all\r\n")
    shell.type(b"""sh -c "trap 'echo got it; exit' INT; echo g''o; while :; do sleep 1; done"\r""")
    shell.read_until(b"go\r\n")
    shell.type(b"\x03")  # interrupts the inner shell alone
    shell.read_until(b"got it\r\n")
    shell.read_until(b"> ")
    shell.type(b"exit 9\r")
    assert shell.process.wait(15) == 9


def test_the_callers_terminal_is_raw_meanwhile_and_as_before_afterwards(terminal):
    shown = terminal("--rm", "-it", "box", "sh", "-c", "echo up; read line; exit 4")
    shown.read_until(b"up\r\n")
    assert shown.is_raw()
    shown.type(b"\r")
    assert shown.process.wait(15) == 4
    assert termios.tcgetattr(shown.slave) == shown.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_callers_terminal_comes_back_when_a_signal_ends_it_all(terminal, number):
    shown = terminal("--rm", "-it", "box", "sh", "-c", f"trap 'exit 6' {number}; echo up; {WAIT}")
    shown.read_until(b"ready\r\n")
    shown.process.send_signal(number)
    assert shown.process.wait(15) == 6
    assert termios.tcgetattr(shown.slave) == shown.before


def test_the_detach_keys_leave_the_container_running_and_attach_comes_back_to_it(terminal, box):
    shell = terminal("--name", "left", "-it", "-e", "PS1=> ", "box", "sh")
    shell.read_until(b"> ")
    shell.type(b"\x10\x11")
    assert shell.process.wait(15) == 0
    assert termios.tcgetattr(shell.slave) == shell.before
    assert status(box, "left").startswith("Up ")
    again = terminal("left", command="attach")
    again.type(b"echo back''again\r")
    again.read_until(b"backagain\r\n")
    again.type(b"exit 8\r")
    assert again.process.wait(15) == 8
    box("rm", "left").ok()


def test_a_terminal_of_exec_has_its_size_and_is_left_by_other_keys(terminal, box):
    with running(box, "--name", "host", "box", "sh", "-c", WAIT):
        inner = terminal("-it", "--detach-keys", "ctrl-a,d", "host", "sh", command="exec")
        inner.type(b"stty size; test -t 0 && echo t''ty\r")
        inner.read_until(b"33 101\r\n")
        inner.read_until(b"tty\r\n")
        inner.resize((44, 99))
        inner.type(b"sleep 0.3; stty size\r")
        inner.read_until(b"44 99\r\n")
        inner.type(b"\x01d")
        assert inner.process.wait(15) == 0
        assert termios.tcgetattr(inner.slave) == inner.before


def test_the_callers_terminal_comes_back_when_the_program_cannot_start(terminal):
    shown = terminal("--rm", "-it", "box", "no-such-program")
    assert shown.process.wait(15) == 127
    assert termios.tcgetattr(shown.slave) == shown.before


def test_a_terminal_without_i_shows_output_and_reads_nothing(box: Pybuild):
    done = box("run", "--rm", "-t", "box", "sh", "-c", "test -t 1 && echo terminal")
    assert done.ok().stdout == "terminal\r\n"


def test_what_is_written_right_before_the_end_arrives(box: Pybuild):
    for _ in range(5):
        text = box("run", "--rm", "-t", "box", "sh", "-c", "seq 1 3000").ok().stdout
        assert text == "".join(f"{number}\r\n" for number in range(1, 3001))


def test_a_reader_that_goes_away_ends_the_container(box: Pybuild):
    process = box.start("run", "--rm", "box", "yes")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(15) == 1  # EPIPE: the first process of a pid namespace gets no SIGPIPE
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
