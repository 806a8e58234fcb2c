from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from builder.sandbox.monitor.loop import Loop
from builder.sandbox.monitor.pump import CHUNK_BYTES, Sink, Source


class Pipe:
    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)

    def close_write(self) -> None:
        os.close(self.write_fd)
        self.write_fd = -1

    def close_read(self) -> None:
        os.close(self.read_fd)
        self.read_fd = -1

    def read(self) -> bytes:
        try:
            return os.read(self.read_fd, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for fd in (self.read_fd, self.write_fd):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator:
    made: list[Pipe] = []

    def make() -> Pipe:
        made.append(Pipe())
        return made[-1]

    yield make
    for each in made:
        each.close()


def steps(loop: Loop, count: int = 5) -> None:
    """What is ready now, and what becomes so by that."""
    for _ in range(count):
        loop.after(0, lambda: None)
        loop.step()


def source_of(loop: Loop, pipe: Pipe, **options) -> Source:
    return Source(loop, os.dup(pipe.read_fd), **options)


def sink_of(loop: Loop, pipe: Pipe) -> Sink:
    return Sink(loop, os.dup(pipe.write_fd))


def test_each_sink_gets_all_that_comes(pipe):
    loop, incoming, first, second = Loop(), pipe(), pipe(), pipe()
    source = source_of(loop, incoming)
    for out in (first, second):
        source.add(sink_of(loop, out))
    os.write(incoming.write_fd, b"text")
    steps(loop)
    assert (first.read(), second.read()) == (b"text", b"text")


def test_the_end_of_the_input_is_told_once(pipe):
    loop, incoming = Loop(), pipe()
    ended: list[bool] = []
    source_of(loop, incoming, ended=lambda: ended.append(True))
    incoming.close_write()
    steps(loop)
    assert ended == [True]


def fill(pipe: Pipe) -> int:
    written = 0
    os.set_blocking(pipe.write_fd, False)
    try:
        while True:
            written += os.write(pipe.write_fd, b"x" * 4096)
    except BlockingIOError:
        return written


def test_nothing_is_read_ahead_of_a_slow_sink_and_nothing_is_lost(pipe):
    loop, incoming, slow = Loop(), pipe(), pipe()
    taken: list[int] = []
    source = source_of(loop, incoming, taken=lambda chunk: taken.append(len(chunk)))
    fill(slow)
    source.add(sink_of(loop, slow))
    total = 0
    for _ in range(4):
        total += fill(incoming)
        steps(loop)
    assert 0 < sum(taken) <= CHUNK_BYTES
    received = 0
    before = len(slow.read())
    for _ in range(20):
        steps(loop, 2)
        received += len(slow.read())
    assert received == total
    assert before > 0


def test_a_sink_whose_reader_is_gone_holds_nobody_up(pipe):
    loop, incoming, dead, living = Loop(), pipe(), pipe(), pipe()
    source = source_of(loop, incoming)
    fill(dead)
    gone = sink_of(loop, dead)
    source.add(gone)
    source.add(sink_of(loop, living))
    os.write(incoming.write_fd, b"first")
    steps(loop)
    os.write(incoming.write_fd, b"second")
    steps(loop)
    assert living.read() == b"first"
    dead.close_read()
    steps(loop)
    assert not gone.is_open
    assert living.read() == b"second"


def test_a_sink_that_is_closed_writes_what_it_has_first(pipe):
    loop, incoming, slow = Loop(), pipe(), pipe()
    source = source_of(loop, incoming)
    filled = fill(slow)
    sink = sink_of(loop, slow)
    slow.close_write()
    source.add(sink)
    os.write(incoming.write_fd, b"last")
    steps(loop)
    sink.close()
    assert sink.is_open
    assert len(slow.read()) == filled
    steps(loop)
    assert slow.read() == b"last"
    assert not sink.is_open


def test_what_is_left_is_drained_however_slow_the_sink(pipe):
    loop, incoming, slow = Loop(), pipe(), pipe()
    taken: list[bytes] = []
    source = source_of(loop, incoming, taken=taken.append)
    fill(slow)
    source.add(sink_of(loop, slow))
    total = fill(incoming)
    source.drain()
    assert sum(map(len, taken)) == total
    assert not source.is_open


def test_a_timer_that_was_cancelled_does_nothing():
    loop, rung = Loop(), []
    cancelled = loop.after(0, lambda: rung.append("cancelled"))
    loop.after(0, lambda: rung.append("kept"))
    loop.cancel(cancelled)
    loop.cancel(cancelled)
    loop.cancel(None)
    loop.step()
    assert rung == ["kept"]
