"""What a process sets about itself, and descriptors: prctl(2), close_range(2), sigaction."""

from __future__ import annotations

import ctypes
import os

from builder.kernel.libc import CFunction, SystemCall, check

SIGKILL = 9

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38
_CLOSE_RANGE_CLOEXEC = 4
_LAST_SIGNAL = 64
_SIG_DFL = None
_SIG_IGN = 1
_SIGPIPE = 13
_SIG_SETMASK = 2
_SIGSET_BYTES = 8
_SIGSET_SIZE = 128  # the C library's
_ALL_SIGNALS = b"\xff" * _SIGSET_SIZE
_SIGACTION_NUMBERS = {
    "x86_64": 13,
    "aarch64": 134,
    "riscv64": 134,
    "loongarch64": 134,
    "ppc64le": 173,
    "s390x": 174,
}

_prctl = CFunction(
    "prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong
)
_setfsuid = CFunction("setfsuid", ctypes.c_uint)
_setfsgid = CFunction("setfsgid", ctypes.c_uint)
_signal = CFunction("signal", ctypes.c_int, ctypes.c_void_p)
_sigprocmask = CFunction("sigprocmask", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_sigwaitinfo = CFunction("sigwaitinfo", ctypes.c_char_p, ctypes.c_void_p)
_pidfd_send_signal = SystemCall(424, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_close_range = SystemCall(436, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)


def prctl(option: int, *arguments: int) -> int:
    """Set or get an attribute of this process; all arguments are numbers."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return check(_prctl(option, *padded))


def die_with_parent() -> None:
    """Have SIGKILL sent to this process when the thread that made it ends.

    A change of ids or capabilities, and exec of a set-user-id program, undo it.
    """
    prctl(_PR_SET_PDEATHSIG, SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what this process's descendants leave behind, in place of init."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def keep_capabilities() -> None:
    """Let a change of all user ids from 0 to others leave the permitted set as it is."""
    prctl(_PR_SET_KEEPCAPS, 1)


def set_fs_ids(uid: int, gid: int) -> None:
    """Whose files this thread makes. The kernel takes and gives back capabilities with uid 0."""
    _setfsgid(gid)
    _setfsuid(uid)


def set_no_new_privileges() -> None:
    """From now on no exec gives more privileges. Never undone."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(*, dumpable: bool) -> None:
    """Whether others of the same user may trace this process and open its /proc entries."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def send_signal(pidfd: int, number: int) -> None:
    """Send a signal to the process that `pidfd` names. ProcessLookupError when it has ended.

    As `signal.pidfd_send_signal`, whose module takes longer to import than all the rest here.
    """
    check(_pidfd_send_signal(pidfd, number, None, 0))


def ignore_broken_pipes() -> None:
    """Have EPIPE say that nobody reads any more, in place of a signal that ends this process."""
    _signal(_SIGPIPE, _SIG_IGN)


def reset_signals() -> None:
    """Default action for each signal, none blocked: handlers and SIG_IGN are inherited by exec."""
    # the C library keeps 32 and 33 to itself, and its posix_spawn makes the child ignore them
    sigaction_number = _SIGACTION_NUMBERS.get(os.uname().machine)
    arguments = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    sigaction = SystemCall(sigaction_number, *arguments) if sigaction_number else None
    default_action = bytes(64)  # of any architecture's struct: all zero is SIG_DFL
    for number in range(1, _LAST_SIGNAL + 1):  # fails for SIGKILL and SIGSTOP
        if sigaction:
            sigaction(number, default_action, None, _SIGSET_BYTES)
        else:
            _signal(number, _SIG_DFL)
    check(_sigprocmask(_SIG_SETMASK, bytes(128), None))


def set_title(title: bytes) -> None:
    """Show as `title` in listings of processes, in place of the command line."""
    name = ctypes.create_string_buffer(title[:15])
    prctl(_PR_SET_NAME, ctypes.addressof(name))
    with open("/proc/self/stat", "rb", buffering=0) as file:
        fields = file.read(4096).rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # of the arguments in memory: fields 48, 49
    if 0 < start < end:
        shown = title[: end - start - 1]
        ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def block_signals() -> None:
    """Have all signals that can wait do so, for `next_signal`."""
    check(_sigprocmask(_SIG_SETMASK, _ALL_SIGNALS, None))


def unblock_signals() -> None:
    """Let none wait; those that do come now."""
    check(_sigprocmask(_SIG_SETMASK, bytes(_SIGSET_SIZE), None))


def next_signal() -> int:
    """Wait for a blocked signal, and take it."""
    while True:
        number = _sigwaitinfo(_ALL_SIGNALS, None)
        if number > 0:
            return number


def close_on_exec_from(first_fd: int) -> None:
    """Mark every descriptor from `first_fd` on as close-on-exec."""
    if _close_range(first_fd, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC) == -1:  # before Linux 5.11
        for name in os.listdir("/proc/self/fd"):
            if int(name) >= first_fd:
                _unset_inheritable(int(name))


def _unset_inheritable(fd: int) -> None:
    try:
        os.set_inheritable(fd, False)  # noqa: FBT003 - its only form
    except OSError:  # the listing's own
        return


def close_except(kept_fds: set[int], first_fd: int = 3) -> None:
    """Close every descriptor from `first_fd` on that is not kept."""
    start = first_fd
    for fd in sorted(fd for fd in kept_fds if fd >= first_fd):
        os.closerange(start, fd)
        start = fd + 1
    if _close_range(start, 0xFFFFFFFF, 0) == -1:
        os.closerange(start, os.sysconf("SC_OPEN_MAX"))
