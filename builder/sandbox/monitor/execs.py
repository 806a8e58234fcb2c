"""Further processes in the container, next to its first one."""

from __future__ import annotations

import _socket
import os

from builder.kernel import namespaces
from builder.kernel.cgroup import ControlGroup
from builder.kernel.process import close_except
from builder.sandbox.child import wire
from builder.sandbox.child.entering import run_inside
from builder.sandbox.child.request import Request
from builder.sandbox.monitor.asked import Asked, decoded
from builder.sandbox.monitor.connection import Connection
from builder.sandbox.monitor.entrants import request_of
from builder.sandbox.monitor.loop import READABLE, Loop
from builder.sandbox.monitor.pump import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Ended = Callable[[int], None]


class Execs:
    """Starts them, and waits for them: they are children of this process."""

    def __init__(
        self, loop: Loop, template: Request, pid: int, pidfd: int, group: ControlGroup
    ) -> None:
        self._loop = loop
        self._template = template
        self._pid = pid
        self._pidfd = pidfd
        self._group = group
        self._own_pidfd = os.pidfd_open(os.getpid())
        self._running: dict[int, tuple[int, Ended]] = {}  # by pidfd: pid, whom to tell
        self._unread: list[Source] = []  # terminals whose client is gone

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(pid for pid, _ in self._running.values())

    def start(self, client: Connection, fds: tuple[int, ...]) -> None:
        """Do a client's request.

        With it travel its setup socket, what is Asked in a file of memory, and the descriptors that
        this names. The client is told `started PID`, later `ended WAIT_STATUS`.
        """
        setup_fd, asked_fd, *process_fds = fds
        try:
            asked = decoded(os.pread(asked_fd, os.fstat(asked_fd).st_size, 0))
            pidfd = self.spawn(
                asked,
                tuple(process_fds),
                setup_fd,
                lambda status: self._tell_end(client, status),
            )
            client.send(wire.STARTED, self._running[pidfd][0])
        except OSError as error:
            client.send(wire.FAILED, "namespaces", error.errno or 0, "")
        finally:
            for fd in fds:
                os.close(fd)

    def spawn(self, asked: Asked, fds: tuple[int, ...], setup_fd: int, ended: Ended) -> int:
        """The pidfd of a new process, closed when `ended` is called with its wait status.

        `fds` are what the places in `asked` stand for; they and `setup_fd` stay the caller's.
        """
        request = request_of(asked, self._template, fds)
        group_fds = _opened(self._group.join_files)
        namespace_fd = os.open(f"/proc/{self._pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            pid, pidfd = namespaces.fork_within(namespace_fd, 0)
            if pid == 0:
                request.cgroup_fds = group_fds
                own = {setup_fd, self._own_pidfd, self._pidfd, request.seccomp_fd}
                close_except({*own, *group_fds, *request.stdio_fds})
                setup_socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, setup_fd)
                run_inside(request, setup_socket, self._own_pidfd, self._pidfd, self._pid)
        finally:
            for fd in (namespace_fd, *group_fds):
                os.close(fd)
        self._running[pidfd] = (pid, ended)
        self._loop.watch(pidfd, READABLE, lambda _: self._reap(pidfd))
        return pidfd

    def client_gone(self, client: Connection) -> None:
        """Its process goes on; what that writes to its terminal is read, so that it never waits."""
        if client.terminal_fd >= 0:
            self._unread.append(Source(self._loop, client.terminal_fd))
            client.terminal_fd = -1
        self._unread = [source for source in self._unread if source.is_open]

    def reap_all(self) -> None:
        """The container has ended, and all of these with it."""
        for pidfd in tuple(self._running):
            self._reap(pidfd)

    def _reap(self, pidfd: int) -> None:
        pid, ended = self._running.pop(pidfd)
        self._loop.unwatch(pidfd)
        _, wait_status = os.waitpid(pid, 0)
        os.close(pidfd)
        ended(wait_status)

    def _tell_end(self, client: Connection, wait_status: int) -> None:
        if client.terminal_fd >= 0:
            os.close(client.terminal_fd)
            client.terminal_fd = -1
        client.send(wire.ENDED, wait_status)


def _opened(paths: tuple[str, ...]) -> tuple[int, ...]:
    """Descriptors to write to; of what was planned for a group not all had to be made."""
    fds: list[int] = []
    for path in paths:
        try:
            fds.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            continue
    return tuple(fds)
