from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from builder.runtime.liveness import boot_id, descendants, identity_of, is_alive, run_state
from builder.runtime.signals import queued_signals
from builder.sandbox.monitor.freezing import SignalFreezer


def readable(fd: int) -> bool:
    return bool(select.select([fd], (), (), 5)[0])


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGWINCH, signal.SIGRTMIN + 3]
)
def test_a_signal_is_queued_and_does_nothing_else(number: int):
    with queued_signals() as signals:
        os.kill(os.getpid(), number)
        assert readable(signals.fileno())
        assert list(signals.take()) == [number]
        assert signals.take() == b""


def test_signals_come_in_the_order_in_which_they_were_sent():
    with queued_signals() as signals:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
            os.kill(os.getpid(), number)
            assert readable(signals.fileno())
        assert list(signals.take()) == [signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1]


def test_handlers_are_as_before_afterwards():
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with queued_signals():
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with queued_signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert readable(signals.fileno())
            assert list(signals.take()) == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGCHLD, signal.SIGPIPE, signal.SIGTTOU, signal.SIGSEGV])
def test_what_is_no_news_for_a_container_is_left_alone(number: int):
    before = signal.getsignal(number)
    with queued_signals():
        assert signal.getsignal(number) == before


FAMILY = """
import subprocess, sys, time
inner = "import time; print('up', flush=True); time.sleep(100)"
subprocess.Popen([sys.executable, "-c", inner])
time.sleep(100)
"""


@pytest.fixture
def family():
    """A process with a child."""
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_all_of_a_family_are_stopped_and_go_on(family):
    pids = descendants(family.pid)
    assert len(pids) == 2
    freezer = SignalFreezer(family.pid)
    freezer.freeze()
    assert {run_state(pid) for pid in pids} == {"T"}
    freezer.freeze()
    freezer.thaw()
    deadline = time.monotonic() + 5
    while {run_state(pid) for pid in pids} != {"S"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_was_stopped_before_stays_stopped(family):
    outer, inner = descendants(family.pid)
    os.kill(inner, signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while run_state(inner) != "T":
        assert time.monotonic() < deadline
    freezer = SignalFreezer(outer)
    freezer.freeze()
    freezer.thaw()
    time.sleep(0.05)
    assert run_state(inner) == "T"
    assert run_state(outer) != "T"


def test_a_process_that_has_gone_is_frozen_already():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    freezer = SignalFreezer(process.pid)
    freezer.freeze()
    freezer.thaw()


def test_a_process_is_known_by_more_than_its_pid():
    identity = identity_of(os.getpid())
    assert identity is not None
    assert identity.boot_id == boot_id()
    assert is_alive(identity)
    assert not is_alive(type(identity)(identity.pid, identity.started + 1, identity.boot_id))
    assert not is_alive(type(identity)(identity.pid, identity.started, "another boot"))
    assert not is_alive(type(identity)(0, 0, boot_id()))


def test_a_process_that_nobody_has_waited_for_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()
    deadline = time.monotonic() + 5
    while run_state(process.pid) != "Z":
        assert time.monotonic() < deadline
    assert identity_of(process.pid) is None
    process.communicate()
    assert identity_of(process.pid) is None
