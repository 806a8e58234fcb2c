"""Namespaces: making them, entering them, and a process that starts in new ones."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from builder.kernel.libc import CFunction, SystemCall, check, encoded

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200
_CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
_SIGCHLD = 17

# clone3 has one number everywhere; the call before it, one for each architecture
_CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120}

_unshare = CFunction("unshare", ctypes.c_int)
_setns = CFunction("setns", ctypes.c_int, ctypes.c_int)
_pivot_root = CFunction("pivot_root", ctypes.c_char_p, ctypes.c_char_p)
_clone3 = SystemCall(435, ctypes.c_char_p, ctypes.c_size_t)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` (CLONE_NEW*) names for new ones."""
    check(_unshare(flags))


def setns(namespace_fd: int, kind: int = 0) -> None:
    """Enter a namespace."""
    check(_setns(namespace_fd, kind))


def pivot_root(new_root: str, put_old: str) -> None:
    """Make the mount at `new_root` the root; the old one comes to lie on `put_old`."""
    check(_pivot_root(encoded(new_root), encoded(put_old)), new_root)


def fork_within(pid_namespace_fd: int, flags: int) -> tuple[int, int]:
    """As `fork_into`, the copy being in the pid namespace that is given.

    A process enters one only for its children to come and may not be able to go back, so one in
    between does it, and gives its own child away to this process.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    between, pidfd = fork_into(0)
    if between == 0:
        if _fork_in_between(pid_namespace_fd, flags, write_fd):
            os._exit(0)
        os.close(read_fd)
        return 0, -1
    os.close(write_fd)
    os.close(pidfd)
    answer = os.read(read_fd, 8)
    os.close(read_fd)
    os.waitpid(between, 0)
    pid, number = struct.unpack("=2i", answer) if answer else (-1, errno.ESRCH)
    if pid < 0:
        raise OSError(number, os.strerror(number))
    return pid, os.pidfd_open(pid)  # its own until this process, its parent, waits for it


def _fork_in_between(pid_namespace_fd: int, flags: int, write_fd: int) -> bool:
    """False in the copy; True in the process between, when it has told how it went."""
    try:
        setns(pid_namespace_fd, CLONE_NEWPID)
        pid, pidfd = fork_into(flags | CLONE_PARENT)
    except OSError as error:
        os.write(write_fd, struct.pack("=2i", -1, error.errno or 0))
        return True
    if pid:
        os.write(write_fd, struct.pack("=2i", pid, 0))
        os.close(pidfd)
    os.close(write_fd)
    return pid != 0


def fork_into(flags: int) -> tuple[int, int]:
    """A copy of this process as the first one of new namespaces (CLONE_NEW* in `flags`).

    Returns (pid, pidfd) here and (0, -1) in the copy. For single-threaded processes only; Python's
    at-fork functions are not called.
    """
    pidfd = ctypes.c_int(-1)
    signal = 0 if flags & CLONE_PARENT else _SIGCHLD  # else the one of this process itself
    arguments = struct.pack(
        "=8Q", flags | _CLONE_PIDFD, ctypes.addressof(pidfd), 0, 0, signal, 0, 0, 0
    )
    pid = _clone3(arguments, len(arguments))
    if pid == -1 and ctypes.get_errno() in {errno.ENOSYS, errno.EPERM}:
        pid = _old_clone(flags, pidfd)
    check(pid)
    return (pid, pidfd.value) if pid else (0, -1)


def _old_clone(flags: int, pidfd: ctypes.c_int) -> int:
    """clone(2), where the seccomp filter of a container around us has no clone3."""
    number = _CLONE_NUMBERS.get(os.uname().machine)
    if number is None:
        return -1
    call = SystemCall(
        number,
        ctypes.c_ulong,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    return call(flags | _CLONE_PIDFD | _SIGCHLD, None, ctypes.addressof(pidfd), None, None)
