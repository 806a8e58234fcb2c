"""The sandbox server that can take charge of the container it has started."""

from __future__ import annotations

import _codecs
import _socket
import os

from builder.sandbox.child import request as requests
from builder.sandbox.child import wire
from builder.sandbox.child.request import Request
from builder.sandbox.child.server import Server, closed_off
from builder.sandbox.monitor import outside
from builder.sandbox.monitor.charge import CHARGE, Charge, decoded
from builder.sandbox.monitor.monitor import Monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.sandbox.child.wire import Message


def main() -> None:
    """Serve until the executor is gone or has handed a container over; then that one."""
    _codecs.lookup("ascii")  # what opens a file as such looks for it, and cannot any more later
    server = _ContainerServer(closed_off())
    server.serve()
    server.close()
    if server.charge is not None and server.template is not None:
        Monitor(server.charge, server.template, server.pidfd, server.ended_with).run()
    os._exit(0)


class _ContainerServer(Server):
    """Remembers how its processes ended, for a charge that comes too late to see it."""

    charge: Charge | None = None
    template: Request | None = None
    pidfd = -1
    ended_with: int | None = None

    def __init__(self, control: _socket.socket) -> None:
        super().__init__(control)
        self._ends: dict[int, int] = {}  # by pid: wait status; another runtime's programs too

    def handle(self, message: Message, fds: tuple[int, ...]) -> bool:
        if message[0] in {outside.RUN, outside.ADOPT}:
            self._outside(message, fds)
            return True
        if message[0] != CHARGE:
            return super().handle(message, fds)
        charge_fd, *others = fds
        data = os.pread(charge_fd, os.fstat(charge_fd).st_size, 0)
        os.close(charge_fd)
        self.charge = decoded(data, tuple(others))
        self._take_over(self.charge.pid)
        return False

    def started(self, request: Request) -> None:
        """Keep what further processes of the container are like its first one in."""
        if self.template is not None:
            return  # a container has one first process
        filter_fd = os.dup(request.seccomp_fd) if request.seccomp_fd >= 0 else -1
        self.template = request.changed(
            mounts=(), seccomp_fd=filter_fd, cgroup_fds=(), joined_fds=(), stdio_fds=(-1, -1, -1)
        )

    def _outside(self, message: Message, fds: tuple[int, ...]) -> None:
        """Run a program that is in no sandbox, or take charge of what one has left."""
        status_fd, document_fd, *others = fds
        status_socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, status_fd)
        try:
            match message:
                case (outside.ADOPT, int(pid)):
                    pidfd = outside.adopted(pid, self.own_pidfd)
                    self.started(_request_in(document_fd, tuple(others)))
                case _:
                    pid, pidfd = outside.spawn(document_fd, tuple(others), self.own_pidfd)
            self.watch(pid, pidfd, status_socket)
        except OSError as error:
            wire.send(status_socket, (wire.FAILED, "runtime", error.errno or 0, ""))
            status_socket.close()
        finally:
            for fd in (document_fd, *others):
                os.close(fd)

    def report_end(self, pidfd: int) -> int:
        pid = self.children[pidfd][0]
        self._ends[pid] = super().report_end(pidfd)
        return self._ends[pid]

    def _take_over(self, pid: int) -> None:
        """Take the process out of those that end with this server."""
        for pidfd, (child, status_socket) in tuple(self.children.items()):
            if child == pid:
                self.pidfd = pidfd
                del self.children[pidfd]
                status_socket.close()
                return
        self.ended_with = self._ends[pid]  # a charge is for a process of this server


def _request_in(fd: int, fds: tuple[int, ...]) -> Request:
    return requests.decoded(os.pread(fd, os.fstat(fd).st_size, 0), fds)
