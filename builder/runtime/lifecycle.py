"""A container from created to exited, in the foreground of the process that runs it."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.errors import EXIT_RUN_ENGINE
from builder.kernel.capabilities import NAMES
from builder.runtime.bundle import process_spec
from builder.runtime.connecting import Connection
from builder.runtime.container import Container, ContainerState
from builder.runtime.control import ControlServer, listening
from builder.runtime.devices import device_nodes
from builder.runtime.groups import make_group
from builder.runtime.liveness import boot_id, identity_of
from builder.runtime.rootfs import container_rootfs
from builder.runtime.streams import Attachment
from builder.sandbox.accounts import lookup_user
from builder.sandbox.api import Hooks
from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError
from cache.errors import PybuildError
from cache.record import record, replace

if TYPE_CHECKING:
    import _socket

    from builder.kernel.cgroup import ControlGroup
    from builder.runtime.connecting import Networks
    from builder.runtime.containers import Containers
    from builder.runtime.freezing import Freezer
    from builder.runtime.signals import SignalQueue
    from builder.sandbox.api import Executor, ExitStatus, Process
    from cache.snapshot.api import Snapshotter

_GIVING_UP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


@record
class Runner:
    """What running a container takes of the engine and of the caller."""

    containers: Containers
    snapshots: Snapshotter
    executor: Executor
    signals: SignalQueue
    now: Callable[[], float]
    networks: Networks


def run_to_end(container: Container, runner: Runner, attachment: Attachment) -> int:
    """Run the container, which the caller holds, and give its exit status.

    What it wrote may still be on its way out: `attachment.drain` waits for that. Errors:
    ProgramNotFoundError, ProgramNotExecutableError, or what else it could not be started for.
    """
    paths = runner.containers.paths(container.container_id)
    with ExitStack() as stack:
        listener = stack.enter_context(listening(paths))
        with _failures_recorded(container, runner):
            group = make_group(container, lambda all_: _record_group(container, runner, all_))
        stack.callback(group.remove)
        with _failures_recorded(container, runner):
            process = _started(container, runner, attachment, group, stack)
        attachment.attach(process.terminal_fd)
        _record_start(container, runner, process)
        freezer = group if group.can_freeze else _freezer_by_signals(process)
        status = _Foreground(process, runner.signals, attachment).supervise(listener, freezer)
        _record_end(container, runner, status.code, oom_killed=group.oom_kills() > 0)
    return status.code


def _freezer_by_signals(process: Process) -> Freezer:
    from builder.runtime.freezing import SignalFreezer  # noqa: PLC0415 - rootless mostly

    return SignalFreezer(process.pid)


def given_up(signals: SignalQueue) -> bool:
    """Whether the caller wants this process to end, whatever is left to do."""
    return not _GIVING_UP.isdisjoint(signals.take())


def _started(
    container: Container,
    runner: Runner,
    attachment: Attachment,
    group: ControlGroup,
    stack: ExitStack,
) -> Process:
    """The first process, over a root filesystem that stays mounted as long as `stack`."""
    paths = runner.containers.paths(container.container_id)
    root = stack.enter_context(container_rootfs(container, runner.containers, runner.snapshots))
    connection = Connection(container, runner.networks)
    stack.callback(connection.release)
    groups = container.host.security.groups
    account = lookup_user(root.fd, container.config.user, more_groups=groups)
    spec = process_spec(
        container,
        paths,
        credentials=account.credentials,
        home=account.home,
        every_capability=NAMES,
        host_files=connection.prepare(),
        mounts=root.mounts(account.credentials),
        terminal_size=attachment.window_size or (0, 0),
        cgroup_files=group.join_files,
        joined=connection.joined(),
        devices=device_nodes(container.host.limits.devices),
        devices_ruled=group.rules_devices,
    )
    hooks = Hooks(before_execute=connection.connect) if connection.has_work else Hooks()
    process = runner.executor.start(spec, attachment.stdio(account.credentials), hooks)
    stack.callback(process.kill)
    return process


@contextmanager
def _failures_recorded(container: Container, runner: Runner) -> Generator[None, None, None]:
    """Write down why a container could not be started, for those who look at it later."""
    try:
        yield
    except PybuildError as error:
        known = isinstance(error, ProgramNotFoundError | ProgramNotExecutableError)
        exit_code = error.exit_status if known else EXIT_RUN_ENGINE
        runner.containers.write_state(
            container.container_id, ContainerState(exit_code=exit_code, error=error.message)
        )
        raise


def _record_group(container: Container, runner: Runner, group: ControlGroup) -> None:
    """Before anything runs: whoever finds the container dead can remove it."""
    runner.containers.write_state(container.container_id, ContainerState(cgroup=group.texts))


def _record_start(container: Container, runner: Runner, process: Process) -> None:
    identity = identity_of(process.pid)
    state = ContainerState(
        pid=process.pid,
        pid_started=identity.started if identity else 0,
        boot_id=identity.boot_id if identity else boot_id(),
        cgroup=runner.containers.state(container.container_id).cgroup,
        started_at=runner.now(),
    )
    runner.containers.write_state(container.container_id, state)


def _record_end(container: Container, runner: Runner, exit_code: int, *, oom_killed: bool) -> None:
    state = runner.containers.state(container.container_id)
    ended = replace(state, finished_at=runner.now(), exit_code=exit_code, oom_killed=oom_killed)
    runner.containers.write_state(container.container_id, ended)


class _Foreground:
    """Passes signals on and answers requests until the first process has ended."""

    def __init__(self, process: Process, signals: SignalQueue, attachment: Attachment) -> None:
        self._process = process
        self._signals = signals
        self._attachment = attachment
        self._poller = select.poll()
        self._poller.register(self._signals.fileno(), select.POLLIN)

    def supervise(self, listener: _socket.socket, freezer: Freezer) -> ExitStatus:
        control = ControlServer(listener, self._poller, freezer=freezer, kill=self._process.kill)
        with _end_of(self._process) as end_fd:
            if end_fd is not None:
                self._poller.register(end_fd, select.POLLIN)
                self._serve(control, end_fd)
        control.close()
        status = self._process.wait()
        assert status is not None, "waiting without a timeout gives a status"
        return status

    def _serve(self, control: ControlServer, end_fd: int) -> None:
        while True:
            for fd, _ in self._poller.poll():
                if fd == end_fd:
                    return
                if fd == self._signals.fileno():
                    self._pass_on()
                else:
                    control.handle(fd)

    def _pass_on(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGWINCH and self._attachment.has_terminal:
                self._attachment.resize()
            else:
                self._process.signal(number)


@contextmanager
def _end_of(process: Process) -> Generator[int | None, None, None]:
    """A descriptor that is readable when the process has ended; None where it has already."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)
