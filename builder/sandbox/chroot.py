"""Runs processes with another root directory and no namespaces: `--isolation=chroot`.

For containers that may neither mount nor make namespaces, as CI gives them. What is kept apart is
the files, and of those only what a process without tricks touches: it is no boundary against one
that means harm. The container around it is.
"""

from __future__ import annotations

import os
import threading

from builder.errors import IsolationError
from builder.kernel.capabilities import CAP_SYS_ADMIN, get_sets
from builder.sandbox import requests
from builder.sandbox.api import ExitStatus, Hooks, OutsideProgram, Process, ProcessSpec, Stdio
from builder.sandbox.launch import launch
from builder.sandbox.monitor.charge import Charge
from builder.sandbox.placing import Placing
from builder.sandbox.process import SandboxProcess
from builder.sandbox.server_process import ServerProcess
from cache.record import replace

_WARNING = (
    "chroot isolation keeps files apart and nothing else: programs of RUN steps see and can signal "
    "this machine's processes, use its network, and have no /proc"
)


def check_caller(*, runs_containers: bool) -> bool:
    """Whether overlay xattrs must be those of users, since this is root without CAP_SYS_ADMIN.

    IsolationError where the caller cannot work like this at all.
    """
    if runs_containers:
        raise _no_containers()
    if os.geteuid() != 0:
        raise IsolationError(
            "chroot isolation needs root, as most containers' first user is",
            hint="as an ordinary user, the default isolation works wherever user namespaces do",
        )
    return not get_sets()[0] & CAP_SYS_ADMIN


def _no_containers() -> IsolationError:
    return IsolationError(
        "containers need namespaces: chroot isolation is for builds",
        hint="leave PYBUILD_ISOLATION unset for this command",
    )


class ChrootExecutor:
    """Implements `api.ContainerExecutor`, but has no containers.

    Root filesystems are copies: see cache.snapshot.copied.
    """

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._closed = False
        self._starting = threading.Lock()
        self._warnings: dict[str, None] = {_WARNING: None}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is less isolated here than it should be, a sentence each."""
        return tuple(self._warnings)

    def prepare(self) -> None:
        """Start the server now, so that it gets ready meanwhile. Idempotent."""
        self._running_server()

    def start(
        self,
        spec: ProcessSpec,
        stdio: Stdio,
        hooks: Hooks = Hooks(),  # noqa: B008 - frozen
    ) -> ChrootProcess:
        _check(spec)
        server = self._running_server()
        placing = Placing(spec.rootfs_dir)
        try:
            placing.place(spec.mounts)
            with requests.Descriptors() as descriptors:
                request = requests.request_of(
                    replace(spec, mounts=()),
                    stdio,
                    descriptors,
                    env=spec.env,
                    seccomp_fd=None,
                    cgroup_fds=(),
                    joined_fds=(),
                    hooks=hooks,
                    rootless=False,
                )
                process = launch(server.control, request, descriptors.fds, hooks, self._warn)
        except BaseException:
            placing.undo(keep=False)
            raise
        return ChrootProcess(process, placing)

    def entrust(self, process: Process, charge: Charge, fds: list[int]) -> None:  # noqa: ARG002
        """IsolationError: a container needs namespaces."""
        raise _no_containers()

    def run_outside(self, program: OutsideProgram, stdio: Stdio) -> int:  # noqa: ARG002
        """IsolationError: another runtime runs containers alone."""
        raise _no_containers()

    def adopt(
        self,
        pid: int,  # noqa: ARG002
        spec: ProcessSpec,  # noqa: ARG002
        *,
        terminal_fd: int | None,  # noqa: ARG002
    ) -> Process:
        """IsolationError, as above."""
        raise _no_containers()

    def join(self) -> None:
        """No monitor is ever started."""

    def close(self) -> None:
        with self._starting:
            self._closed = True
            if self._server is not None:
                self._server.stop()

    def _running_server(self) -> ServerProcess:
        with self._starting:
            if self._closed:
                raise IsolationError("the sandbox is closed: the command is ending")
            if self._server is None:
                self._server = ServerProcess("child.jail")
            return self._server

    def _warn(self, text: str) -> None:
        self._warnings[text] = None


def _check(spec: ProcessSpec) -> None:
    if spec.network != "host" or spec.joined:
        raise IsolationError(
            "chroot isolation has no networks of its own",
            hint="leave --network=none out, or build where namespaces can be had",
        )
    if spec.cgroup_files:
        raise IsolationError("chroot isolation has no limits of memory, processors or processes")
    if spec.terminal:
        raise IsolationError("chroot isolation has no terminals")


class ChrootProcess:
    """Implements `api.Process`; what was placed for it is taken away when its end is seen."""

    def __init__(self, process: SandboxProcess, placing: Placing) -> None:
        self._process = process
        self._placing = placing
        self._guard = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def terminal_fd(self) -> int | None:
        return None

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        status = self._process.wait(timeout_s)
        if status is not None:
            with self._guard:
                self._placing.undo(keep=status.code == 0)
        return status

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def kill(self) -> None:
        self._process.kill()
        self.wait()
