from __future__ import annotations

import os
import pty
import select
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from builder.runtime.errors import TerminalError
from builder.runtime.streams import (
    DETACHED,
    STDOUT_CLOSED,
    Attachment,
    CallerStreams,
    StreamChoice,
    attached,
)
from builder.runtime.terminal import raw_mode, require_terminal, window_size


class Pipes:
    """A caller's stdin, stdout and stderr, as pipes that the test holds the other ends of."""

    def __init__(self) -> None:
        self.stdin, self.type_fd = os.pipe()
        self.out_fd, self.stdout = os.pipe()
        self.err_fd, self.stderr = os.pipe()
        self.open = {self.stdin, self.type_fd, self.out_fd, self.stdout, self.err_fd, self.stderr}

    @property
    def caller(self) -> CallerStreams:
        return CallerStreams(self.stdin, self.stdout, self.stderr)

    def close(self, *fds: int) -> None:
        for fd in fds or tuple(self.open):
            os.close(fd)
            self.open.discard(fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


def started(attachment: Attachment, *, stdin: bool = False) -> tuple[int, int, int]:
    """What the other side would have: its own copies of the ends."""
    assert (attachment.ends[0] >= 0) == stdin
    stdin_fd, stdout, stderr = (os.dup(fd) if fd >= 0 else -1 for fd in attachment.ends)
    attachment.begin()
    return stdin_fd, stdout, stderr


def write_for_ever(fd: int) -> None:
    while True:
        os.write(fd, b"x" * 100)


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_output_goes_to_the_callers_stdout_and_stderr(pipes: Pipes):
    with attached(pipes.caller, StreamChoice()) as attachment:
        _, out, err = started(attachment)
        os.write(out, b"out")
        os.write(err, b"err")
        os.close(out)
        os.close(err)
        attachment.drain(lambda: False)
        assert os.read(pipes.out_fd, 10) == b"out"
        assert os.read(pipes.err_fd, 10) == b"err"


def test_the_container_never_gets_the_callers_own_descriptors(pipes: Pipes):
    with attached(pipes.caller, StreamChoice(stdin=True)) as attachment:
        own = {os.fstat(fd).st_ino for fd in (pipes.stdin, pipes.stdout, pipes.stderr)}
        for fd in attachment.ends:
            assert os.fstat(fd).st_ino not in own


def test_input_is_passed_on_to_its_end(pipes: Pipes):
    with attached(pipes.caller, StreamChoice(stdin=True)) as attachment:
        stdin, out, err = started(attachment, stdin=True)
        os.write(pipes.type_fd, b"typed")
        pipes.close(pipes.type_fd)
        with open(stdin, "rb") as file:
            assert file.read() == b"typed"
        os.close(out)
        os.close(err)


def test_without_i_the_callers_stdin_is_not_read(pipes: Pipes):
    with attached(pipes.caller, StreamChoice()) as attachment:
        _, out, err = started(attachment)
        os.write(pipes.type_fd, b"x")
        os.close(out)
        os.close(err)
        attachment.drain(lambda: False)
    assert os.read(pipes.stdin, 10) == b"x"


def test_a_reader_that_went_away_is_seen_by_the_container(pipes: Pipes):
    with attached(pipes.caller, StreamChoice()) as attachment:
        _, out, err = started(attachment)
        pipes.close(pipes.out_fd)
        with pytest.raises(BrokenPipeError):
            write_for_ever(out)
        os.close(out)
        os.close(err)


def fill(pipe_fd: int, size_bytes: int) -> None:
    """Write this much; the copying may take its time to make room."""
    os.set_blocking(pipe_fd, False)
    deadline = time.monotonic() + 30
    while size_bytes > 0:
        assert time.monotonic() < deadline
        try:
            size_bytes -= os.write(pipe_fd, b"x" * 4096)
        except BlockingIOError:
            time.sleep(0.01)


def test_waiting_for_a_reader_that_never_reads_can_be_given_up(pipes: Pipes):
    with attached(pipes.caller, StreamChoice()) as attachment:
        _, out, err = started(attachment)
        fill(out, 120 << 10)  # more than the reader's pipe holds, so that some of it stays behind
        os.close(out)
        os.close(err)
        asked: list[bool] = []
        attachment.drain(lambda: bool(asked.append(True)) or len(asked) > 1)
        assert len(asked) == 2
        copying = [thread for thread in threading.enumerate() if "_copy" in thread.name]
        os.set_blocking(pipes.out_fd, False)
        while any(thread.is_alive() for thread in copying):
            if select.select([pipes.out_fd], (), (), 0.01)[0]:
                os.read(pipes.out_fd, 1 << 16)


def test_all_descriptors_are_closed_in_the_end(pipes: Pipes):
    before = open_fds()
    with attached(pipes.caller, StreamChoice(stdin=True)) as attachment:
        for fd in started(attachment, stdin=True):
            os.close(fd)
        attachment.drain(lambda: False)
    assert open_fds() == before


def test_all_descriptors_are_closed_where_nothing_was_started(pipes: Pipes):
    before = open_fds()
    with attached(pipes.caller, StreamChoice(stdin=True)):
        pass
    assert open_fds() == before


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_terminal_is_raw_for_the_block_and_as_before_after_it(terminal: tuple[int, int]):
    _, slave = terminal
    before = termios.tcgetattr(slave)
    with suppress(ZeroDivisionError), raw_mode(slave):
        assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
        raise ZeroDivisionError
    assert termios.tcgetattr(slave) == before


def test_a_terminal_that_was_hung_up_is_no_failure(terminal: tuple[int, int]):
    master, slave = pty.openpty()
    with raw_mode(slave):
        os.close(master)
    os.close(slave)


def test_a_file_is_no_terminal(tmp_path, terminal: tuple[int, int]):
    require_terminal(terminal[1])
    with open(tmp_path / "file", "w") as file:
        with pytest.raises(TerminalError, match="not a TTY"):
            require_terminal(file.fileno())
        assert window_size(file.fileno()) is None


def test_the_size_of_the_callers_terminal_is_known(terminal: tuple[int, int], pipes: Pipes):
    _, callers = terminal
    termios.tcsetwinsize(callers, (30, 90))
    caller = CallerStreams(callers, pipes.stdout, callers)
    with attached(caller, StreamChoice(terminal=True)) as attachment:
        assert attachment.window_size == (30, 90)
        assert attachment.ends[0] == attachment.ends[2] == -1


def test_of_the_streams_only_those_are_tied_that_were_chosen(pipes: Pipes):
    with attached(pipes.caller, StreamChoice(stdout=False)) as attachment:
        stdin, stdout, stderr = attachment.ends
        assert (stdin, stdout) == (-1, -1)
        end = os.dup(stderr)
        attachment.begin()
        os.write(end, b"err")
        os.close(end)
        attachment.drain(lambda: False)
        assert os.read(pipes.err_fd, 10) == b"err"


def test_a_caller_who_reads_no_more_is_an_event(pipes: Pipes):
    with attached(pipes.caller, StreamChoice()) as attachment:
        _, out, err = started(attachment)
        pipes.close(pipes.out_fd)
        os.write(out, b"unread")
        assert select.select([attachment], (), (), 5)[0]
        assert attachment.events() == (STDOUT_CLOSED,)
        assert attachment.events() == ()
        os.close(out)
        os.close(err)


def test_the_detach_keys_are_an_event_and_are_not_passed_on(pipes: Pipes):
    choice = StreamChoice(stdin=True, terminal=True, detach_keys=b"\x10\x11")
    with attached(pipes.caller, choice, raw=False) as attachment:
        stdin, out = (os.dup(fd) for fd in attachment.ends[:2])
        attachment.begin()
        os.write(pipes.type_fd, b"a\x10b\x10\x11c")
        assert select.select([attachment], (), (), 5)[0]
        assert attachment.events() == (DETACHED,)
        with open(stdin, "rb") as file:
            assert file.read() == b"a\x10b"
        os.close(out)
