"""A mount namespace of this command's own and, for an ordinary user, a user namespace around it.

What is mounted in it is seen by no other process and is gone when this command ends, however it
ends; what others mount outside is seen inside, too. Inside, the command is root: over everything
where root started it, over the caller's own id and subordinate ids otherwise.
"""

from __future__ import annotations

import errno
import os
import sys

from builder.errors import IsolationError
from builder.kernel import mount, namespaces
from builder.kernel.capabilities import CAP_SYS_ADMIN, get_sets
from builder.sandbox.subids import IdRange, subordinate_ranges
from cache.record import record

_MAX_NAMESPACES = "/proc/sys/user/max_user_namespaces"
_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_UNPRIVILEGED = "/proc/sys/kernel/unprivileged_userns_clone"  # Debian's own
_NO_SUBIDS = (
    "only one user id is available: programs in a RUN that change to another user, or give files "
    "to one, will fail"
)

_left_mounts: list[int] = []


@record
class IdMapping:
    """Which ids the command has. A range is (id inside, id outside, count)."""

    rootless: bool  # inside a user namespace of our own: overlays need `userxattr`
    uid_ranges: tuple[IdRange, ...] = ()  # empty: all ids, unchanged
    gid_ranges: tuple[IdRange, ...] = ()
    warnings: tuple[str, ...] = ()  # what the user should know, each a sentence

    @property
    def one_id(self) -> bool:
        """Whether there is no id but root's."""
        return self.rootless and all(count == 1 for _, _, count in self.uid_ranges)


def enter_private_namespaces() -> IdMapping:
    """Move this process into namespaces of its own; once, while it has one thread.

    IsolationError where the kernel, or a container around us, does not allow it.
    """
    mapping = IdMapping(rootless=False)
    if not get_sets()[0] & CAP_SYS_ADMIN:
        mapping = _enter_user_namespace()
    else:
        _left_mounts.append(_open_own_mounts())
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
        except OSError as error:
            raise _denied("a mount namespace", error) from error
    try:
        mount.mount("none", "/", "", mount.MS_REC | mount.MS_SLAVE)
    except OSError as error:
        raise _denied("mounting", error) from error
    return mapping


def callers_mount_namespace() -> int | None:
    """A descriptor of the mount namespace that this process left; None where it can't go back."""
    return next((fd for fd in _left_mounts if fd >= 0), None)


def _open_own_mounts() -> int:
    try:
        return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # no /proc here
        return -1


def _enter_user_namespace() -> IdMapping:
    uid, gid = os.geteuid(), os.getegid()
    mapper = _Mapper(uid, gid)
    try:
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
    except OSError as error:
        mapper.abandon()
        raise _denied("a user namespace", error) from error
    problem = mapper.map_ids()
    mapping = IdMapping(True, mapper.uid_ranges, mapper.gid_ranges)  # noqa: FBT003 - a field
    if problem:
        _map_one_id(uid, gid)
        one = ((0, uid, 1),), ((0, gid, 1),)
        mapping = IdMapping(True, *one, warnings=(f"{problem}; {_NO_SUBIDS}",))  # noqa: FBT003
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if not problem:
        os.setgroups([])
    return mapping


class _Mapper:
    """The process outside the new user namespace that runs newuidmap and newgidmap on this one.

    They are set-user-id programs and must start where the caller's real id counts, so the process
    is forked before the namespace is made and waits for it.
    """

    def __init__(self, uid: int, gid: int) -> None:
        self.uid_ranges, self.gid_ranges, self._problem = subordinate_ranges(uid, gid)
        self._pids: list[int] = []
        self._go_fds: list[int] = []
        if not self._problem:
            self._fork("newuidmap", self.uid_ranges)
            self._fork("newgidmap", self.gid_ranges)

    def _fork(self, program: str, ranges: tuple[IdRange, ...]) -> None:
        wait_fd, go_fd = os.pipe()
        target = os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _map_after_go(program, target, ranges, wait_fd, (go_fd, *self._go_fds))
        os.close(wait_fd)
        self._pids.append(pid)
        self._go_fds.append(go_fd)

    def map_ids(self) -> str:
        """Let both go and wait for them. "" or, in words, what is in the way of subordinate ids."""
        if self._problem:
            return self._problem
        for go_fd in self._go_fds:
            os.write(go_fd, b"g")
        statuses = self._end()
        return "" if not any(statuses) else "newuidmap or newgidmap refused the subordinate ids"

    def abandon(self) -> None:
        """End the waiting processes."""
        self._end()

    def _end(self) -> list[int]:
        for go_fd in self._go_fds:
            os.close(go_fd)
        return [os.waitpid(pid, 0)[1] for pid in self._pids]


def _map_after_go(
    program: str, target: int, ranges: tuple[IdRange, ...], wait_fd: int, close_fds: tuple[int, ...]
) -> None:
    """In the forked process: exec the program when told to. Never returns."""
    try:
        for fd in close_fds:  # else nobody would see the end of file
            os.close(fd)
        if os.read(wait_fd, 1):
            null_fd = os.open(os.devnull, os.O_RDWR)
            os.dup2(null_fd, 2)
            numbers = [str(number) for id_range in ranges for number in id_range]
            os.execvp(program, [program, str(target), *numbers])  # noqa: S606 - no shell wanted
    finally:
        os._exit(1)


def _map_one_id(uid: int, gid: int) -> None:
    try:
        _write("/proc/self/setgroups", "deny")  # the kernel's condition for a gid map of our own
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as error:
        raise _denied("mapping an id into a user namespace", error) from error


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _denied(what: str, error: OSError) -> IsolationError:
    return IsolationError(f"the kernel denies {what}: {error.strerror}", hint=_hint(error))


def _hint(error: OSError) -> str:
    if _setting(_MAX_NAMESPACES) == "0" or error.errno in {errno.ENOSPC, errno.EUSERS}:
        return f"user namespaces are used up or turned off: raise {_MAX_NAMESPACES}"
    if _setting(_UNPRIVILEGED) == "0":
        return f"turn user namespaces on: write 1 to {_UNPRIVILEGED}"
    if _setting(_APPARMOR) not in {"", "0"}:
        return (
            "AppArmor restricts user namespaces on this system: write 0 to "
            f"{_APPARMOR}, or give pybuild's interpreter a profile that allows userns"
        )
    return (
        "a container around this process probably forbids it: allow the mount, unshare and clone "
        "system calls there (Docker: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined, or --privileged), or build with --isolation=chroot"
    )


def _setting(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
