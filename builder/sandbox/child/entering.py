"""From clone to execve of a process that joins a container which runs already.

It is in the container's pid namespace from its first moment, where the container's processes could
look at it: so it is a copy of a process that nobody may trace, keeps no descriptor but its own, and
opens nothing by a name that the container chose before it has given up its privileges, but for the
terminal, which is checked.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import select
import stat
import struct

from builder.kernel import namespaces
from builder.kernel.paths import open_beneath
from builder.kernel.process import close_on_exec_from, die_with_parent, reset_signals
from builder.sandbox.child import devices, identity, program, settings
from builder.sandbox.child.request import Request
from builder.sandbox.child.wire import EXIT_NOT_STARTED, Report

_NAMESPACES = {
    "user": namespaces.CLONE_NEWUSER,
    "mnt": namespaces.CLONE_NEWNS,
    "cgroup": namespaces.CLONE_NEWCGROUP,
    "uts": namespaces.CLONE_NEWUTS,
    "ipc": namespaces.CLONE_NEWIPC,
    "net": namespaces.CLONE_NEWNET,
}
_PTMX = os.makedev(5, 2)
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCSCTTY = 0x540E
_TIOCSWINSZ = 0x5414
_TERMINAL_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def run_inside(
    request: Request,
    setup_socket: _socket.socket,
    server_pidfd: int,
    container_pidfd: int,
    container_pid: int,
) -> None:
    """Become the process that is asked for, in the namespaces of the container's first one.

    Never returns: it reports a failure and exits.
    """
    report = Report(setup_socket)
    try:
        _leave_server(request, server_pidfd, report)
        proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # this machine's
        settings.label(proc_fd, request.confinement, report)
        os.close(proc_fd)
        _join(container_pidfd, container_pid, report)
        if request.terminal:
            _open_terminal(request, report)
        else:
            devices.use_stdio(request.stdio_fds)
        identity.limit_resources(request)
        identity.enter(request, report)
        report.executing()
        close_on_exec_from(3)
        program.execute(request.args, request.env, report)
    except OSError as error:
        report.failed(error)
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        report.crashed(error)
    finally:
        os._exit(EXIT_NOT_STARTED)


def _leave_server(request: Request, server_pidfd: int, report: Report) -> None:
    die_with_parent()
    reset_signals()
    poll = select.poll()
    poll.register(server_pidfd, select.POLLIN)
    if poll.poll(0):  # it died before the line above could help
        os._exit(EXIT_NOT_STARTED)
    os.setsid()
    report.doing("cgroup")
    for fd in request.cgroup_fds:
        os.write(fd, b"0")  # "this process"


def _join(container_pidfd: int, container_pid: int, report: Report) -> None:
    """Enter its namespaces, all at once: those that are others than this process's own.

    An ordinary user may not enter the host's, though it is in them.
    """
    report.doing("namespaces")
    flags = 0
    for name, flag in _NAMESPACES.items():
        theirs = os.stat(f"/proc/{container_pid}/ns/{name}")
        if theirs.st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
            flags |= flag
    namespaces.setns(container_pidfd, flags)


def _open_terminal(request: Request, report: Report) -> None:
    """A pty of the container's own /dev/pts as this session's terminal and stdio."""
    report.doing("terminal", "/dev/pts/ptmx")
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    master_fd = open_beneath(root_fd, "dev/pts/ptmx", _TERMINAL_FLAGS, links=False)
    status = os.fstat(master_fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    fcntl.ioctl(master_fd, _TIOCSPTLCK, struct.pack("i", 0))
    fcntl.ioctl(master_fd, _TIOCSWINSZ, struct.pack("HHHH", *request.terminal_size, 0, 0))
    # the other end by the master and not by a name
    slave_fd = fcntl.ioctl(master_fd, _TIOCGPTPEER, _TERMINAL_FLAGS)
    os.fchown(slave_fd, request.uid, -1)
    report.hand_over_terminal(master_fd)
    os.close(master_fd)
    fcntl.ioctl(slave_fd, _TIOCSCTTY, 0)
    devices.use_stdio((slave_fd, slave_fd, slave_fd))
