"""Runs processes in namespaces of their own, through the sandbox server."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

from builder.errors import IsolationError
from builder.sandbox import joined, requests, seccomp
from builder.sandbox.accounts import home_of
from builder.sandbox.api import Hooks, OutsideProgram, Process, ProcessSpec, Stdio
from builder.sandbox.child import wire
from builder.sandbox.child.request import Request
from builder.sandbox.launch import launch
from builder.sandbox.monitor.charge import CHARGE, Charge, encoded
from builder.sandbox.process import SandboxProcess
from builder.sandbox.server_process import ServerProcess
from builder.sandbox.userns import with_maps
from cache.record import replace
from cache.statedir import StateDir


class NamespaceExecutor:
    """Implements `api.ContainerExecutor`.

    To be made after `idmap.enter_private_namespaces`; `rootless` is what that found. The server
    starts with the first process, or earlier by `prepare`; one that runs already is taken over.
    """

    def __init__(
        self, state: StateDir, *, rootless: bool, server: ServerProcess | None = None
    ) -> None:
        self._state = state
        self._rootless = rootless
        self._server = server
        self._closed = False
        self._starting = threading.Lock()
        self._warnings: dict[str, None] = {}

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
    ) -> SandboxProcess:
        server = self._running_server()
        hooks = with_maps(spec.id_maps, hooks)
        with ExitStack() as stack:
            descriptors = stack.enter_context(requests.Descriptors())
            request = self._request_of(spec, stdio, descriptors, stack, hooks)
            return launch(server.control, request, descriptors.fds, hooks, self._warn)

    def _request_of(
        self,
        spec: ProcessSpec,
        stdio: Stdio,
        descriptors: requests.Descriptors,
        stack: ExitStack,
        hooks: Hooks = Hooks(),  # noqa: B008 - frozen
    ) -> Request:
        return requests.request_of(
            spec,
            stdio,
            descriptors,
            env=self._env_with_home(spec),
            seccomp_fd=self._open_filter(spec, stack),
            cgroup_fds=_opened_all(spec.cgroup_files, stack),
            rootless=self._rootless,
            joined_fds=joined.opened(spec.joined, stack),
            hooks=hooks,
        )

    def entrust(self, process: Process, charge: Charge, fds: list[int]) -> None:
        assert isinstance(process, SandboxProcess), "it comes from start"
        server = self._running_server()
        charge_fd = os.memfd_create("charge")
        try:
            os.pwrite(charge_fd, encoded(charge), 0)
            wire.send(server.control, (CHARGE,), (charge_fd, *fds))
        finally:
            os.close(charge_fd)
        process.release()
        server.release()

    def run_outside(self, program: OutsideProgram, stdio: Stdio) -> int:
        from builder.sandbox.outside import run_outside  # noqa: PLC0415 - few containers have one

        return run_outside(self._running_server().control, program, stdio)

    def adopt(self, pid: int, spec: ProcessSpec, *, terminal_fd: int | None) -> SandboxProcess:
        from builder.sandbox.outside import adopt  # noqa: PLC0415 - few containers have one

        with ExitStack() as stack:
            descriptors = stack.enter_context(requests.Descriptors())
            request = self._request_of(replace(spec, mounts=()), Stdio(), descriptors, stack)
            process = adopt(self._running_server().control, pid, request, descriptors.fds)
        if terminal_fd is not None:
            process.set_terminal(terminal_fd)
        return process

    def join(self) -> None:
        if self._server is not None:
            self._server.join()

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
                self._server = ServerProcess()
            elif self._server.is_released:
                self._server = ServerProcess("monitor.main")
            return self._server

    def _warn(self, text: str) -> None:
        self._warnings[text] = None

    def _env_with_home(self, spec: ProcessSpec) -> tuple[str, ...]:
        if requests.has_home(spec.env):
            return spec.env
        root_fd = os.open(spec.rootfs_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            home = home_of(root_fd, spec.credentials.uid)
        finally:
            os.close(root_fd)
        return (*spec.env, f"HOME={home}")

    def _open_filter(self, spec: ProcessSpec, stack: ExitStack) -> int | None:
        if spec.privileged or spec.seccomp == "unconfined":
            return None
        path = seccomp.filter_path(self._state.seccomp_dir, spec.capabilities, spec.seccomp)
        return _opened(path, os.O_RDONLY, stack)


def _opened_all(paths: tuple[str, ...], stack: ExitStack) -> tuple[int, ...]:
    return tuple(_opened(path, os.O_WRONLY, stack) for path in paths)


def _opened(path: str, flags: int, stack: ExitStack) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
