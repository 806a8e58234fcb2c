"""RUN: one process over the root filesystem; what it changes is the layer."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.errors import ProcessFailedError, StepFailedError
from builder.events import StepOutput, Warned
from builder.graph.model import CopyOp, ExecOp, Vertex
from builder.kernel.cgroup import ControlGroup
from builder.location import Span
from builder.sandbox.accounts import lookup_user
from builder.sandbox.api import (
    DEFAULT_HOSTNAME,
    BindEntry,
    ExitStatus,
    Hooks,
    MountEntry,
    Network,
    OverlayEntry,
    Process,
    ProcessSpec,
    Stdio,
    TmpfsEntry,
)
from builder.sandbox.errors import AccountError, ProgramNotExecutableError, ProgramNotFoundError
from builder.sandbox.hostfiles import write_host_files
from builder.sandbox.mountpoints import BASE_POINTS, MountPoint, mounted_with_points
from builder.sandbox.steplimits import StepLimits, step_group
from builder.solver.api import Result
from builder.worker.exec_mounts import MountMaker
from builder.worker.parts import StepInputs, StepParts
from builder.worker.source_tree import SourceTree
from cache.descriptor import EMPTY_CHAIN
from cache.record import replace
from cache.snapshot.api import ActiveSnapshot, Mount
from cache.statedir import remove_tree

if TYPE_CHECKING:  # names only: local imports this module when a RUN must run
    from builder.worker.copy_step import CopyStep
    from builder.worker.step_network import StepNetwork

TAIL_LINES = 20
"""Lines of a failed step's output that its error repeats."""

READ_BYTES = 65536
FULL_BYTES = 1 << 20
"""A file system with less room than this counts as full."""


class ExecStep:
    """Runs the processes of a build's RUN steps; safe from several threads."""

    def __init__(
        self,
        parts: StepParts,
        inputs: StepInputs,
        copy: CopyStep,
        tree_of: Callable[[Result], SourceTree],
        cancelled: threading.Event,
    ) -> None:
        self._parts = parts
        self._inputs = inputs
        self._copy = copy
        self._tree_of = tree_of
        self._cancelled = cancelled
        self._running: set[Process] = set()
        self._guard = threading.Lock()
        self._warnings_told = 0

    def cancel(self) -> None:
        """Kill what runs; `run` raises."""
        with self._guard:
            for process in self._running:
                process.kill()

    def run(
        self, vertex: Vertex, operation: ExecOp, inputs: tuple[Result, ...], active: ActiveSnapshot
    ) -> None:
        """Run the process to its end, writing into `active`; ProcessFailedError where it fails."""
        with ExitStack() as stack:
            mounts = stack.enter_context(self._mounts(vertex, inputs))
            mounts.make(operation)
            network = self._network_of(operation, stack)
            entries = (*self._host_files(operation, network, stack), *mounts.entries)
            rootfs_dir = stack.enter_context(
                mounted_with_points(
                    active.mount,
                    self._scratch("rootfs", stack),
                    (*BASE_POINTS, *_points(mounts.entries)),
                    stub_dir=self._scratch("stubs", stack),
                    volatile=True,
                )
            )
            group = stack.enter_context(step_group(self._inputs.limits))
            spec = _spec(operation, rootfs_dir, entries, mounts.env, vertex.span)
            if network is not None:
                spec = replace(spec, network="private")
            hooks = network.hooks if network is not None else Hooks()
            self._to_its_end(_limited(spec, self._inputs.limits, group), vertex, group, hooks)

    def _mounts(self, vertex: Vertex, inputs: tuple[Result, ...]) -> MountMaker:
        trees = {index: self._tree_of(item) for index, item in enumerate(inputs) if index}
        return MountMaker(
            self._parts.state,
            trees=trees,
            secrets=self._inputs.secrets,
            agents=self._inputs.ssh,
            copy_out=self._copy_out,
            span=vertex.span,
            given_up=self._cancelled.is_set,
            may_mount=self._parts.settings.isolation != "chroot",
        )

    def _copy_out(
        self, operation: CopyOp, tree: SourceTree, directory: str, span: Span | None
    ) -> None:
        active = ActiveSnapshot(directory, directory, EMPTY_CHAIN, Mount(()))
        self._copy.run(operation, None, (None, tree), active, span)

    def _scratch(self, what: str, stack: ExitStack) -> str:
        directory = self._parts.state.scratch(what)
        stack.callback(remove_tree, directory)
        return directory

    def _network_of(self, operation: ExecOp, stack: ExitStack) -> StepNetwork | None:
        """The network that `build --network NAME` gives to steps that don't ask for another."""
        name = self._inputs.network
        if not name or operation.network != "default":
            return None
        from builder.worker.step_network import step_network  # noqa: PLC0415 - few builds have one

        return stack.enter_context(step_network(self._parts.state, name))

    def _host_files(
        self, operation: ExecOp, network: StepNetwork | None, stack: ExitStack
    ) -> tuple[MountEntry, ...]:
        directory = self._scratch("hostfiles", stack)
        hostname = operation.hostname or DEFAULT_HOSTNAME
        if network is None:
            files = write_host_files(
                directory,
                hostname=hostname,
                network=_network(operation),
                extra_hosts=operation.extra_hosts,
            )
        else:
            files = write_host_files(
                directory,
                hostname=hostname,
                network="private",
                extra_hosts=(*operation.extra_hosts, *network.hosts),
                addresses=network.addresses,
                resolver=network.resolver,
            )
        return tuple(BindEntry(path, target, readonly=True) for target, path in files)

    def _to_its_end(
        self, spec: ProcessSpec, vertex: Vertex, group: ControlGroup, hooks: Hooks
    ) -> None:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                stdio = Stdio(stdout=write_fd, stderr=write_fd)
                process = self._start(spec, stdio, vertex.span, hooks)
            finally:
                os.close(write_fd)
            try:
                tail = self._pass_on(read_fd, vertex)
                status = process.wait()
            finally:
                with self._guard:
                    self._running.discard(process)
                process.kill()
        finally:
            os.close(read_fd)
        assert status is not None
        if self._cancelled.is_set():
            raise StepFailedError("canceled", span=vertex.span)
        if status.code:
            raise self._failure(spec, status, tail, vertex.span, oom=group.oom_kills() > 0)

    def _failure(
        self,
        spec: ProcessSpec,
        status: ExitStatus,
        tail: tuple[str, ...],
        span: Span | None,
        *,
        oom: bool,
    ) -> ProcessFailedError:
        how = f"exit code: {status.code}"
        hint = None
        if status.signal:
            how = f"killed by signal {status.signal}, {how}"
            hint = _SIGNAL_HINTS.get(status.signal)
        if oom:
            hint = "the kernel killed a process: it needed more than --memory allows"
        if self._is_disk_full():
            hint = "the store's file system is full: make room, or set PYBUILD_ROOT elsewhere"
        return ProcessFailedError(
            f'process "{" ".join(spec.args)}" did not complete successfully: {how}',
            exit_status=status.code,
            output_tail=tail,
            span=span,
            hint=hint,
        )

    def _is_disk_full(self) -> bool:
        """Whether the process may have met it: asked before the step's files go."""
        room = os.statvfs(self._parts.state.root_dir)
        return room.f_bavail * room.f_frsize < FULL_BYTES or room.f_favail == 0 < room.f_files

    def _start(self, spec: ProcessSpec, stdio: Stdio, span: Span | None, hooks: Hooks) -> Process:
        try:
            process = self._parts.executor().start(spec, stdio, hooks)
        except (ProgramNotFoundError, ProgramNotExecutableError) as error:
            raise ProcessFailedError(
                f'process "{" ".join(spec.args)}" did not start: {error.message}',
                exit_status=error.exit_status,
                output_tail=(),
                span=span,
                hint=error.hint,
            ) from error
        with self._guard:
            self._running.add(process)
            if self._cancelled.is_set():
                process.kill()
        self._tell_warnings()
        return process

    def _tell_warnings(self) -> None:
        with self._guard:
            new = self._parts.executor().warnings[self._warnings_told :]
            self._warnings_told += len(new)
        for warning in new:
            self._parts.emit(Warned(warning))

    def _pass_on(self, read_fd: int, vertex: Vertex) -> tuple[str, ...]:
        """Emit the output until all writers are gone; its last lines."""
        tail = _Tail()
        while output := os.read(read_fd, READ_BYTES):
            tail.add(output)
            self._parts.emit(StepOutput(vertex.id, output))
        return tail.lines()


class _Tail:
    """The last lines of a stream of bytes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._partial = b""

    def add(self, output: bytes) -> None:
        *whole, self._partial = (self._partial[-READ_BYTES:] + output).split(b"\n")
        self._lines.extend(whole)

    def lines(self) -> tuple[str, ...]:
        lines = [*self._lines, self._partial] if self._partial else self._lines
        return tuple(line.decode(errors="replace").rstrip("\r") for line in lines)


def _points(entries: list[MountEntry]) -> tuple[MountPoint, ...]:
    points: list[MountPoint] = []
    for entry in entries:
        match entry:
            case BindEntry(source=source, target=target):
                is_directory = stat.S_ISDIR(os.stat(source).st_mode)
                points.append(MountPoint(target, is_directory=is_directory))
            case TmpfsEntry(target=target) | OverlayEntry(target=target):
                points.append(MountPoint(target, is_directory=True))
    return tuple(points)


def _network(operation: ExecOp) -> Network:
    return "none" if operation.network == "none" else "host"


def _spec(
    operation: ExecOp,
    rootfs_dir: str,
    entries: tuple[MountEntry, ...],
    mount_env: dict[str, str],
    span: Span | None,
) -> ProcessSpec:
    root_fd = os.open(rootfs_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        account = lookup_user(root_fd, operation.user)
    except AccountError as error:
        error_at_step = StepFailedError(error.message, span=span, hint=error.hint)
        raise error_at_step from error
    finally:
        os.close(root_fd)
    env = {**dict(operation.unkeyed_env), **dict(operation.env), **mount_env}
    env.setdefault("HOME", account.home)
    return ProcessSpec(
        rootfs_dir=rootfs_dir,
        args=operation.args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=operation.cwd or "/",
        credentials=account.credentials,
        mounts=entries,
        hostname=operation.hostname or DEFAULT_HOSTNAME,
        network=_network(operation),
        privileged=operation.security == "insecure",
    )


def _limited(spec: ProcessSpec, limits: StepLimits, group: ControlGroup) -> ProcessSpec:
    return replace(
        spec,
        shm_size_bytes=limits.shm_size_bytes,
        rlimits=limits.rlimits,
        cgroup_files=group.join_files,
    )


_SIGNAL_HINTS = {
    9: "the kernel kills a process this way when memory runs out: look at dmesg",
    31: "the seccomp profile ended it for a forbidden system call",
}
