from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager

import pytest

from builder.runtime import control
from builder.runtime.errors import ContainerRunningError
from builder.runtime.paths import ContainerPaths


class FakeContainer:
    """Counts what is asked of it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.changed = threading.Condition()
        self.failure = ""

    def note(self, event: str) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def freeze(self) -> None:
        if self.failure:
            raise OSError(self.failure)
        self.note("freeze")

    def thaw(self) -> None:
        self.note("thaw")

    def kill(self) -> None:
        self.note("kill")

    def wait_for(self, events: list[str]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.events == events, 5), self.events


@pytest.fixture
def paths(tmp_path):
    directory = tmp_path / ("long" * 30)  # longer than a socket's address may be
    directory.mkdir()
    return ContainerPaths(str(directory))


@contextmanager
def served(paths: ContainerPaths, fake: FakeContainer):
    stop_read, stop_write = os.pipe()

    def serve() -> None:
        poller = select.poll()
        poller.register(stop_read, select.POLLIN)
        server = control.ControlServer(listener, poller, freezer=fake, kill=fake.kill)
        while True:
            fds = [fd for fd, _ in poller.poll()]
            if stop_read in fds:
                break
            for fd in fds:
                server.handle(fd)
        server.close()

    with control.listening(paths) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            os.close(stop_write)
            thread.join()
            os.close(stop_read)


def test_a_container_is_held_still_while_the_block_lasts(paths):
    fake = FakeContainer()
    with served(paths, fake):
        with control.paused(paths) as done:
            assert done
            assert fake.events == ["freeze"]
        fake.wait_for(["freeze", "thaw"])


def test_of_two_that_pause_the_last_to_go_lets_it_run(paths):
    fake = FakeContainer()
    with served(paths, fake):
        with control.paused(paths):
            with control.paused(paths):
                pass
            assert "thaw" not in fake.events
        fake.wait_for(["freeze", "freeze", "thaw"])


def test_what_is_killed_is_let_go_first_or_it_could_not_die(paths):
    fake = FakeContainer()
    with served(paths, fake):
        assert control.kill(paths)
        assert fake.events == ["kill", "thaw"]


def test_the_end_of_the_server_lets_a_paused_container_go(paths):
    fake = FakeContainer()
    with served(paths, fake):
        pausing = control.paused(paths)
        pausing.__enter__()
    assert fake.events == ["freeze", "thaw"]
    pausing.__exit__(None, None, None)


def test_without_a_server_nothing_is_paused_or_killed(paths):
    with control.paused(paths) as done:
        assert not done
    assert not control.kill(paths)


def test_a_socket_that_a_killed_server_left_is_no_obstacle(paths):
    with control.listening(paths) as listener:
        listener.close()
        with control.paused(paths) as done:
            assert not done
        fake = FakeContainer()
        with served(paths, fake):
            assert control.kill(paths)
        open(paths.control, "w").close()  # for the outer block to remove


def test_no_socket_is_left(paths):
    with served(paths, FakeContainer()):
        assert os.path.exists(paths.control)
    assert not os.path.exists(paths.control)


def test_the_reason_why_it_cannot_be_paused_comes_back(paths):
    fake = FakeContainer()
    fake.failure = "no way"
    with (
        served(paths, fake),
        pytest.raises(ContainerRunningError, match="no way"),
        control.paused(paths),
    ):
        pass
