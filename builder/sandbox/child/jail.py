"""A process with another root directory and nothing more: where no namespaces can be had.

A guardian stands between the server and the program. What the program starts and leaves behind
becomes the guardian's child; when the program has ended, or when the server dies, none is left.
"""

from __future__ import annotations

import _socket
import os
import select
from collections.abc import Container

from builder.kernel import namespaces
from builder.kernel.process import (
    SIGKILL,
    adopt_orphans,
    close_except,
    close_on_exec_from,
    die_with_parent,
    reset_signals,
)
from builder.sandbox.child import devices, identity, program
from builder.sandbox.child.request import Request
from builder.sandbox.child.server import Server, closed_off
from builder.sandbox.child.targets import make_directory
from builder.sandbox.child.wire import EXIT_NOT_STARTED, Report


def main() -> None:
    """Serve until the executor is gone."""
    adopt_orphans()
    JailServer(closed_off()).serve()
    os._exit(0)


class JailServer(Server):
    """Starts guardians, each of which has a program."""

    def fork(self, request: Request) -> tuple[int, int]:  # noqa: ARG002 - whatever it is
        return namespaces.fork_into(0)

    def become(self, request: Request, setup_socket: _socket.socket, server_pidfd: int) -> None:
        run_jailed(request, setup_socket, server_pidfd)

    def report_end(self, pidfd: int) -> int:
        # a guardian that was killed leaves its processes to this one, at the moment of its end
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        end_children(spared={pid for pid, _ in self.children.values()})
        return super().report_end(pidfd)


def run_jailed(request: Request, setup_socket: _socket.socket, server_pidfd: int) -> None:
    """Become the guardian of the process that is asked for. Never returns."""
    report = Report(setup_socket)
    try:
        _leave_server(server_pidfd)
        adopt_orphans()
        pid = os.fork()
        if pid:
            close_except(set(), first_fd=0)  # the program's output ends with the program
            _end_as(_outlive(pid))
        _enter(request, report)
        report.executing()
        close_on_exec_from(3)
        program.execute(request.args, request.env, report)
    except OSError as error:
        report.failed(error)
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        report.crashed(error)
    finally:
        os._exit(EXIT_NOT_STARTED)


def _leave_server(server_pidfd: int) -> None:
    die_with_parent()
    poll = select.poll()
    poll.register(server_pidfd, select.POLLIN)
    if poll.poll(0):  # it died before the line above could help
        os._exit(EXIT_NOT_STARTED)
    os.setsid()


def _enter(request: Request, report: Report) -> None:
    die_with_parent()
    devices.use_stdio(request.stdio_fds)
    report.doing("chroot", request.rootfs_dir)
    os.chroot(request.rootfs_dir)
    os.chdir("/")
    report.doing("cwd", request.cwd)
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    make_directory(root_fd, request.cwd)
    identity.limit_resources(request)
    identity.enter(request, report)


def _outlive(pid: int) -> int:
    """Wait for the program and end what it has left; its wait status."""
    while True:
        ended, wait_status = os.wait()
        if ended == pid:
            end_children()
            return wait_status


def end_children(spared: Container[int] = ()) -> None:
    """Kill this process's children, and theirs as they become its own, until there are none."""
    while pids := [pid for pid in _children() if pid not in spared]:
        for pid in pids:
            os.kill(pid, SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _children() -> list[int]:
    """The processes whose parent this is. Spec: proc(5), /proc/PID/stat."""
    own = os.getpid()
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent_of(pid) == own]


def _parent_of(pid: str) -> int:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it has ended meanwhile
        return 0
    try:
        text = os.read(fd, 1024)
    except OSError:
        return 0
    finally:
        os.close(fd)
    return int(text.rpartition(b")")[2].split()[1])


def _end_as(wait_status: int) -> None:
    """End as the program did, so that whoever waits for this process sees how."""
    if os.WIFSIGNALED(wait_status):
        reset_signals()
        os.kill(os.getpid(), os.WTERMSIG(wait_status))
    os._exit(os.waitstatus_to_exitcode(wait_status))
