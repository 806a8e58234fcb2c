"""A container's start, from its record to a program that runs in the charge of a monitor."""

from __future__ import annotations

import _socket
import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from builder.errors import EXIT_RUN_ENGINE
from builder.kernel.capabilities import NAMES
from builder.runtime import ending
from builder.runtime.bundle import process_spec
from builder.runtime.codec import state_document
from builder.runtime.connecting import Connection as NetworkConnection
from builder.runtime.container import Container, ContainerState
from builder.runtime.control import Connection, listen
from builder.runtime.devices import device_nodes, device_rules
from builder.runtime.groups import make_group
from builder.runtime.journal import event_attributes
from builder.runtime.liveness import boot_id, identity_of
from builder.runtime.pipes import ContainerPipes
from builder.runtime.policies import health_check
from builder.runtime.rootfs import container_rootfs
from builder.runtime.sharing import joined_namespaces
from builder.runtime.shifting import give_to_root_of
from builder.runtime.signalnames import stop_signal
from builder.sandbox.accounts import lookup_user
from builder.sandbox.api import Hooks
from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError
from builder.sandbox.monitor.charge import Charge
from builder.sandbox.requests import Descriptors
from cache.errors import PybuildError
from cache.record import record

if TYPE_CHECKING:
    from builder.kernel.cgroup import ControlGroup
    from builder.runtime.connecting import Networks
    from builder.runtime.containers import Containers, HeldContainer
    from builder.runtime.streams import Attachment
    from builder.sandbox.api import ContainerExecutor, Process, ProcessSpec, Stdio
    from builder.sandbox.monitor.health import Schedule
    from cache.snapshot.api import Snapshotter

_SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ERRANDS = "import sys; sys.path.append({!r}); from builder.cli.errands import main; main()"
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH")


@record
class Runner:
    """What starting a container takes of the engine."""

    containers: Containers
    snapshots: Snapshotter
    executor: ContainerExecutor
    networks: Networks
    root_dir: str  # of the store
    rootless: bool
    now: Callable[[], float]


@record
class Restart:
    """How a container is started that its restart policy starts again."""

    listener: _socket.socket  # the one of the monitor before, on which clients may be waiting
    earlier: ContainerState


def start(
    held: HeldContainer,
    runner: Runner,
    *,
    attachment: Attachment | None = None,
    restart: Restart | None = None,
) -> Connection | None:
    """Start the container. The connection to its monitor, where `attachment` is to be tied to it.

    Returns when the program was executed and the monitor has all that is needed, the lock too: from
    then on this process may end. Errors: ProgramNotFoundError, ProgramNotExecutableError, or what
    else it could not be started for; the container is in no one's charge then.
    """
    container = held.container
    paths = runner.containers.paths(container.container_id)
    ending.clean(container, runner.containers, runner.snapshots)
    with ExitStack() as stack:
        listener = restart.listener if restart else listen(paths)
        stack.callback(listener.close)
        with _failures_recorded(container, runner, restart), ExitStack() as undo:
            undo.callback(_unlink, paths.control)
            group = make_group(container, lambda all_: _record_group(container, runner, all_))
            undo.callback(group.remove)
            network = NetworkConnection(container, runner.networks)
            undo.callback(network.release)
            pipes = stack.enter_context(
                ContainerPipes(
                    terminal=container.host.terminal, stdin_open=container.host.stdin_open
                )
            )
            begun = _begun(container, runner, attachment, _Surroundings(group, pipes, network))
            undo.callback(begun.process.kill)
            state = _record_start(container, runner, begun.process, restart)
            started = _Started(held, state, listener, pipes, network, begun, attachment)
            # before the monitor has it, who notes its end
            runner.containers.journal.note_container(container, "start")
            connection = _entrust(started, runner)
            undo.pop_all()
        network.close()
        return connection


@record
class _Begun:
    process: Process
    traces: tuple[str, ...]


@record
class _Surroundings:
    group: ControlGroup
    pipes: ContainerPipes
    network: NetworkConnection


@record
class _Started:
    held: HeldContainer
    state: ContainerState
    listener: _socket.socket
    pipes: ContainerPipes
    network: NetworkConnection
    begun: _Begun
    attachment: Attachment | None


def _begun(
    container: Container,
    runner: Runner,
    attachment: Attachment | None,
    around: _Surroundings,
) -> _Begun:
    """The first process, which has the root filesystem as its own and alone."""
    paths = runner.containers.paths(container.container_id)
    network = around.network
    with container_rootfs(container, runner.containers, runner.snapshots) as root:
        security = container.host.security
        account = lookup_user(root.fd, container.config.user, more_groups=security.groups)
        host_files = network.prepare()
        give_to_root_of(container.host, [path for _, path in host_files])
        spec = process_spec(
            container,
            paths,
            credentials=account.credentials,
            home=account.home,
            every_capability=NAMES,
            host_files=host_files,
            mounts=root.mounts(account.credentials),
            terminal_size=(attachment and attachment.window_size) or (0, 0),
            cgroup_files=around.group.join_files,
            joined=(*network.joined(), *joined_namespaces(security, runner.containers.report_of)),
            devices=device_nodes(container.host.limits.devices),
            devices_ruled=around.group.rules_devices,
        )
        hooks = Hooks(before_execute=network.connect) if network.has_work else Hooks()
        stdio = around.pipes.stdio(account.credentials)
        start_process = _starter(container, runner, around.group)
        process = start_process(spec, stdio, hooks)
        return _Begun(process, root.traces)


def _starter(
    container: Container, runner: Runner, group: ControlGroup
) -> Callable[[ProcessSpec, Stdio, Hooks], Process]:
    """What makes the first process: the executor, or another runtime."""
    if not container.host.runtime:
        return runner.executor.start
    from builder.runtime.ociruntime.launch import Launcher  # noqa: PLC0415 - few containers

    return Launcher(
        executor=runner.executor,
        container=container,
        container_dir=runner.containers.paths(container.container_id).container_dir,
        group=group,
        device_rules=device_rules(container.host.limits),
        rootless=runner.rootless,
    ).start


def _entrust(started: _Started, runner: Runner) -> Connection | None:
    """Hand the container over; what is made here of descriptors is closed here as well."""
    container = started.held.container
    paths = runner.containers.paths(container.container_id)
    attachment = started.attachment
    with ExitStack() as stack:
        descriptors = stack.enter_context(Descriptors())
        dir_fd = os.open(paths.container_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, dir_fd)
        here = there = None
        if attachment is not None:
            here, there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            stack.callback(there.close)
        terminal_fd = started.begun.process.terminal_fd
        if terminal_fd is not None:
            stack.callback(os.close, terminal_fd)
        place = descriptors.add
        pipes = started.pipes
        charge = Charge(
            container_id=container.container_id,
            pid=started.begun.process.pid,
            state=state_document(started.state),
            rootless=runner.rootless,
            dir_fd=place(dir_fd),
            lock_fd=place(started.held.lock_fd),
            listener_fd=place(started.listener.fileno()),
            is_terminal=container.host.terminal,
            stdin_fd=_stdin_place(container, descriptors, pipes, terminal_fd, stack),
            stdin_once=attachment is not None and container.host.stdin_open,
            stdout_fds=(
                place(pipes.monitor_stdout if terminal_fd is None else terminal_fd),
                _place(descriptors, pipes.monitor_stderr),
            ),
            owner_fd=place(there.fileno() if there is not None else None),
            owner_stdio_fds=_owner_places(attachment, descriptors),
            helper_fds=tuple(map(place, _helper_fds(started.network, stack))),
            held_fds=tuple(map(place, started.network.fds)),
            resolver_fds=tuple(map(place, started.network.resolver_fds)),
            log=_log(container),
            stop_signal=stop_signal(container.config.stop_signal),
            restart=(
                container.host.policies.restart.name,
                container.host.policies.restart.max_retries,
            ),
            health=_schedule(container),
            journal=runner.containers.journal.path,
            about=event_attributes(container),
            cgroup=started.state.cgroup,
            traces=() if container.host.auto_remove else started.begun.traces,
            has_cleanup=ending.is_needed(container),
            ended_args=_errand_args(container, runner),
            ended_env=_errand_env(runner),
        )
        runner.executor.entrust(started.begun.process, charge, descriptors.fds)
    if attachment is None or here is None:
        return None
    attachment.begin()
    return Connection(here)


def _stdin_place(
    container: Container,
    descriptors: Descriptors,
    pipes: ContainerPipes,
    terminal_fd: int | None,
    stack: ExitStack,
) -> int:
    """Where input goes. A copy of a terminal's master, which is read from as well."""
    if terminal_fd is None:
        return _place(descriptors, pipes.monitor_stdin)
    if not container.host.stdin_open:
        return -1
    copy_fd = os.dup(terminal_fd)
    stack.callback(os.close, copy_fd)
    return descriptors.add(copy_fd)


def _helper_fds(network: NetworkConnection, stack: ExitStack) -> tuple[int, ...]:
    """A pidfd of the process that passes the container's traffic on, if there is one."""
    if network.helper_pid is None:
        return ()
    fd = os.pidfd_open(network.helper_pid)
    stack.callback(os.close, fd)
    return (fd,)


def _owner_places(attachment: Attachment | None, descriptors: Descriptors) -> tuple[int, int, int]:
    ends = attachment.ends if attachment is not None else (-1, -1, -1)
    stdin, stdout, stderr = (_place(descriptors, fd) for fd in ends)
    return stdin, stdout, stderr


def _place(descriptors: Descriptors, fd: int) -> int:
    return descriptors.add(fd if fd >= 0 else None)


def _log(container: Container) -> tuple[str, int, int, str]:
    log = container.host.policies.log
    attributes = dict(log.attributes(container.config))
    text = json.dumps(attributes, ensure_ascii=False) if attributes else ""
    return log.driver, log.max_size_bytes, log.max_files, text


def _schedule(container: Container) -> Schedule | None:
    check = health_check(container.config)
    if check is None:
        return None
    return (
        check.args,
        check.interval_s,
        check.timeout_s,
        check.start_period_s,
        check.start_interval_s,
        check.retries,
    )


def _errand_args(container: Container, runner: Runner) -> tuple[str, ...]:
    """The program as the monitor becomes it: builder.cli.errands."""
    words = (runner.root_dir, "rootless" if runner.rootless else "root", container.container_id)
    return (sys.executable, "-I", "-c", _ERRANDS.format(_SOURCE_DIR), *words)


def _errand_env(runner: Runner) -> tuple[str, ...]:
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    found |= {
        name: value for name, value in os.environ.items() if name.startswith(("PYBUILD_", "XDG_"))
    }
    found["PYBUILD_ROOT"] = runner.root_dir
    return tuple(f"{name}={value}" for name, value in found.items())


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


@contextmanager
def _failures_recorded(
    container: Container, runner: Runner, restart: Restart | None
) -> Generator[None, None, None]:
    """Write down why a container could not be started, for those who look at it later."""
    try:
        yield
    except PybuildError as error:
        known = isinstance(error, ProgramNotFoundError | ProgramNotExecutableError)
        exit_code = error.exit_status if known else EXIT_RUN_ENGINE
        state = ContainerState(exit_code=exit_code, error=error.message)
        if restart is not None:
            earlier = restart.earlier
            state = ContainerState(
                exit_code=exit_code,
                error=error.message,
                started_at=earlier.started_at,
                finished_at=runner.now(),
                restart_count=earlier.restart_count,
            )
        runner.containers.write_state(container.container_id, state)
        raise


def _record_group(container: Container, runner: Runner, group: ControlGroup) -> None:
    """Before anything runs: whoever finds the container dead can remove it."""
    runner.containers.write_state(container.container_id, ContainerState(cgroup=group.texts))


def _record_start(
    container: Container,
    runner: Runner,
    process: Process,
    restart: Restart | None,
) -> ContainerState:
    identity = identity_of(process.pid)
    state = ContainerState(
        pid=process.pid,
        pid_started=identity.started if identity else 0,
        boot_id=identity.boot_id if identity else boot_id(),
        cgroup=runner.containers.state(container.container_id).cgroup,
        started_at=runner.now(),
        restart_count=restart.earlier.restart_count + 1 if restart else 0,
        restart_delay_ms=restart.earlier.restart_delay_ms if restart else 0,
    )
    runner.containers.write_state(container.container_id, state)
    return state
