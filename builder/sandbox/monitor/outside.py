"""Programs outside of any sandbox, for a container that another runtime makes.

The runtime's program ends when the container is made, and the container's first process, left
without a parent, becomes this server's child: it is a subreaper. From then on it is waited for as
one that was started here.
"""

from __future__ import annotations

import marshal
import os
import select

from builder.kernel.namespaces import CLONE_PARENT, fork_into
from builder.kernel.process import (
    SIGKILL,
    adopt_orphans,
    close_except,
    die_with_parent,
    send_signal,
)

RUN = "run"  # with its status socket, the program in a file of memory, and descriptors
ADOPT = "adopt"  # PID; with its status socket, the Request in a file of memory, and its fds

NOT_EXECUTED = 127
"""The exit status of a program that could not be executed."""

Program = tuple[tuple[str, ...], tuple[str, ...], str, int]
"""Arguments, environment, working directory, and how many groups to join."""


def spawn(program_fd: int, fds: tuple[int, ...], own_pidfd: int) -> tuple[int, int]:
    """(pid, pidfd) of the program. `fds`: its stdin, stdout and stderr, then files of groups."""
    program: Program = marshal.loads(os.pread(program_fd, os.fstat(program_fd).st_size, 0))  # noqa: S302 - from our own process
    adopt_orphans()
    pid, pidfd = fork_into(0)
    if pid == 0:
        try:
            _execute(program, fds, own_pidfd)
        finally:
            os._exit(NOT_EXECUTED)
    return pid, pidfd


def _execute(program: Program, fds: tuple[int, ...], own_pidfd: int) -> None:
    args, env, directory, group_count = program
    die_with_parent()
    if _has_ended(own_pidfd):
        return
    for fd in fds[3 : 3 + group_count]:
        os.write(fd, b"0")
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    close_except(set())
    os.chdir(directory)
    os.execve(args[0], args, dict(entry.split("=", 1) for entry in env))  # noqa: S606 - no shell wanted


def adopted(pid: int, own_pidfd: int) -> int:
    """The pidfd of a process that was left to this server, which it will not outlive.

    ChildProcessError where it is not this server's.
    """
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    pidfd = os.pidfd_open(pid)  # its own, since only this process waits for it
    guard, guard_fd = fork_into(CLONE_PARENT)
    if guard == 0:
        try:
            _guard(pidfd, own_pidfd)
        finally:
            os._exit(0)
    os.close(guard_fd)
    return pidfd


def _guard(pidfd: int, server_pidfd: int) -> None:
    """End the process when the server ends: its own parent-death signal is not ours to set."""
    close_except({pidfd, server_pidfd})
    poll = select.poll()
    for fd in (pidfd, server_pidfd):
        poll.register(fd, select.POLLIN)
    ended = {fd for fd, _ in poll.poll()}
    if pidfd not in ended:
        send_signal(pidfd, SIGKILL)


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
