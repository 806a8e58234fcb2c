"""The sandbox server: takes requests from one socket and clones a child for each.

Single-threaded, so that a clone is safe, and small, so that it is cheap. It ends, and with it
all that it started, when the executor closes the socket or dies.
"""

from __future__ import annotations

import _socket
import os
import select
import sys

from builder.kernel import namespaces
from builder.kernel.process import SIGKILL, adopt_orphans, close_except, reset_signals
from builder.sandbox.child import leftovers, wire
from builder.sandbox.child.request import Request, decoded
from builder.sandbox.child.setup import run_child


def main() -> None:
    """Serve until the executor is gone."""
    Server(closed_off()).serve()
    os._exit(0)  # an orderly end takes the interpreter 4 ms, for which the executor waits


def closed_off() -> _socket.socket:
    """Leave nothing of the caller's in this process; the socket that requests come to.

    All is imported: from here on nothing of a root filesystem's can be taken for a module.
    """
    close_except({wire.CONTROL_FD})  # what the executor's own caller left open
    reset_signals()
    os.umask(0o022)
    sys.meta_path.clear()
    sys.path.clear()
    return _seqpacket(wire.CONTROL_FD)


class Server:
    """Starts processes and reports their ends, while the socket is open."""

    def __init__(self, control: _socket.socket) -> None:
        self._control = control
        self.own_pidfd = os.pidfd_open(os.getpid())
        self.children: dict[int, tuple[int, _socket.socket]] = {}  # by pidfd: pid, status socket
        # mount namespaces of those whose end isn't that of all their processes
        self._shared_pids: dict[int, str] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Returns when `handle` says so or nobody is left to ask; what then runs is ended."""
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd != wire.CONTROL_FD:
                        self.report_end(fd)
                    elif not self._take_request():
                        return
        finally:
            for pid, _ in self.children.values():
                os.kill(pid, SIGKILL)
            for pidfd in tuple(self.children):
                self.report_end(pidfd)

    def close(self) -> None:
        """Let those who ask know that nobody answers any more."""
        self._control.close()

    def report_end(self, pidfd: int) -> int:
        """Wait for a process that has ended, and tell; the wait status."""
        pid, status_socket = self.children.pop(pidfd)
        _, wait_status = os.waitpid(pid, 0)  # all of its pid namespace are gone when this returns
        if pidfd in self._shared_pids:
            others = frozenset(other for other, _ in self.children.values())
            leftovers.end_all(self._shared_pids.pop(pidfd), others)
        self._poll.unregister(pidfd)
        wire.send(status_socket, (wire.ENDED, wait_status))
        status_socket.close()
        os.close(pidfd)
        return wait_status

    def _take_request(self) -> bool:
        message, fds = wire.receive(self._control)
        return self.handle(message, fds) if message else False

    def handle(self, message: wire.Message, fds: tuple[int, ...]) -> bool:  # noqa: ARG002 - start
        """Start what is asked for. False when nothing more is to be asked.

        With each request travel its setup socket, its status socket, the request itself in a
        file of memory, and the descriptors that it names.
        """
        setup_fd, status_fd, request_fd, *process_fds = fds
        status_socket = _seqpacket(status_fd)
        try:
            self._start(setup_fd, status_socket, request_fd, tuple(process_fds))
        except OSError as error:
            wire.send(status_socket, (wire.FAILED, "namespaces", error.errno or 0, ""))
            status_socket.close()
        finally:
            for fd in (setup_fd, request_fd, *process_fds):
                os.close(fd)
        return True

    def _start(
        self, setup_fd: int, status_socket: _socket.socket, request_fd: int, fds: tuple[int, ...]
    ) -> None:
        request = decoded(os.pread(request_fd, os.fstat(request_fd).st_size, 0), fds)
        pid, pidfd = self.fork(request)
        if pid == 0:
            close_except({setup_fd, self.own_pidfd, *fds})
            self.become(request, _seqpacket(setup_fd), self.own_pidfd)
        if not request.confinement.has_own(namespaces.CLONE_NEWPID):
            self._shared_pids[pidfd] = leftovers.mount_namespace_of(pid)
            adopt_orphans()
        self.watch(pid, pidfd, status_socket)
        self.started(request)

    def watch(self, pid: int, pidfd: int, status_socket: _socket.socket) -> None:
        """Wait for a child from now on; whoever has the socket's other end is told."""
        self.children[pidfd] = (pid, status_socket)
        self._poll.register(pidfd, select.POLLIN)
        wire.send(status_socket, (wire.STARTED, pid), (pidfd,))

    def started(self, request: Request) -> None:
        """A process was cloned for it; its descriptors are closed next."""

    def fork(self, request: Request) -> tuple[int, int]:
        """(pid, pidfd) here, (0, -1) in the child, which is in its new namespaces."""
        flags = _new_namespaces(request)
        joined = dict(request.joined_fds)
        return (
            namespaces.fork_within(joined["pid"], flags)
            if "pid" in joined
            else namespaces.fork_into(flags)
        )

    def become(self, request: Request, setup_socket: _socket.socket, server_pidfd: int) -> None:
        """Go on, in the child, as the process that is asked for. Never returns."""
        run_child(request, setup_socket, server_pidfd)


def _new_namespaces(request: Request) -> int:
    flags = namespaces.CLONE_NEWNS | (namespaces.CLONE_NEWNET if request.new_network else 0)
    flags |= namespaces.CLONE_NEWUSER if request.new_user else 0
    # that of cgroups is made when the process has joined them: they are its roots
    return flags | request.confinement.namespaces & ~namespaces.CLONE_NEWCGROUP


def _seqpacket(fd: int) -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
