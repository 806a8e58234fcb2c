"""/proc, /sys, /dev and what lies in them: made before the root is entered, put in place after.

Made before, because the kernel lets an ordinary user's namespace mount /proc and /sys only while
it sees unmasked ones, and those are the host's.
"""

from __future__ import annotations

import errno
import os

from builder.kernel import mount, namespaces
from builder.kernel.libc import AT_FDCWD
from builder.kernel.paths import open_beneath, open_in_root
from builder.sandbox.child.request import Request
from builder.sandbox.child.targets import open_plain_directory
from builder.sandbox.child.wire import Report

_PLAIN = mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC
_HOST_PROC_WARNING = (
    "the kernel allows no /proc of its own here (a container around this process hides parts of "
    "its /proc): the process sees the surrounding container's /proc"
)


class Special:
    """The mounts of the system, each by the descriptor of its root."""

    __slots__ = ("cgroups", "dev_fd", "mqueue_fd", "proc_fd", "pts_fd", "shm_fd", "sys_fd")

    def __init__(
        self,
        *,
        proc_fd: int,
        sys_fd: int,
        dev_fd: int,
        pts_fd: int,
        shm_fd: int,
        mqueue_fd: int,
        cgroups: tuple[tuple[str, int], ...],
    ) -> None:
        self.proc_fd = proc_fd
        self.sys_fd = sys_fd
        self.dev_fd = dev_fd
        self.pts_fd = pts_fd
        self.shm_fd = shm_fd  # -1 where none is wanted
        self.mqueue_fd = mqueue_fd  # -1 where the kernel has none
        self.cgroups = cgroups  # (path below /sys/fs/cgroup, "" for that itself; descriptor)


def prepare(request: Request, report: Report) -> Special:
    """Make them all."""
    readonly = 0 if request.privileged else mount.ATTR_RDONLY
    report.doing("mount", "/proc")
    own_pids = request.confinement.has_own(namespaces.CLONE_NEWPID)
    proc_fd = _new_or_host("proc", "/proc", 0, report if own_pids else None)
    report.doing("mount", "/sys")
    sys_fd = _new_or_host("sysfs", "/sys", readonly, report)
    report.doing("mount", "/sys/fs/cgroup")
    cgroups = _new_cgroups(readonly)
    report.doing("mount", "/dev")
    dev_attributes = mount.ATTR_NOSUID | mount.ATTR_NOEXEC | mount.ATTR_STRICTATIME
    if not request.devices_usable:
        dev_attributes |= mount.ATTR_NODEV  # its nodes are binds with flags of their own
    return Special(
        proc_fd=proc_fd,
        sys_fd=sys_fd,
        dev_fd=mount.new_filesystem("tmpfs", ("mode=755", "size=65536k"), dev_attributes),
        pts_fd=_new_devpts(),
        shm_fd=_shared_memory(request),
        mqueue_fd=_message_queues(request),
        cgroups=cgroups,
    )


def _new_or_host(fstype: str, path: str, attributes: int, report: Report | None) -> int:
    """A fresh mount; where the kernel forbids it, the one at `path` here with all that is in it.

    A sysfs shows a network namespace, so a user namespace may mount it only for its own one.
    """
    try:
        return mount.new_filesystem(fstype, (), _PLAIN | attributes)
    except PermissionError:
        if fstype == "proc" and report is not None:
            report.warn(_HOST_PROC_WARNING)
        tree_fd = mount.clone_tree(AT_FDCWD, path, recursive=True)
        mount.set_attributes(tree_fd, _PLAIN | attributes, recursive=True)
        return tree_fd


def _new_devpts() -> int:
    options = ("newinstance", "ptmxmode=0666", "mode=0620")
    attributes = mount.ATTR_NOSUID | mount.ATTR_NOEXEC
    try:
        return mount.new_filesystem("devpts", (*options, "gid=5"), attributes)  # group tty
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return mount.new_filesystem("devpts", options, attributes)  # 5 is unmapped here


def _shared_memory(request: Request) -> int:
    joined = dict(request.joined_fds)
    if "mnt" in joined:
        return _of_joined(joined["mnt"])
    if not request.confinement.has_own(namespaces.CLONE_NEWIPC):
        return _of_host("/dev/shm")  # noqa: S108 - no temporary file
    if not request.shm_size_bytes:
        return -1
    options = ("mode=1777", f"size={request.shm_size_bytes}")
    return mount.new_filesystem("tmpfs", options, _PLAIN)


def _message_queues(request: Request) -> int:
    own_or_joined = request.joins("ipc") or request.confinement.has_own(namespaces.CLONE_NEWIPC)
    if not own_or_joined:
        return _of_host("/dev/mqueue")
    try:
        return mount.new_filesystem("mqueue", (), _PLAIN)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return -1
        raise


def _of_host(path: str) -> int:
    """A view of the host's directory; -1 where it has none."""
    try:
        tree_fd = mount.clone_tree(AT_FDCWD, path, recursive=True)
    except FileNotFoundError:
        return -1
    mount.set_attributes(tree_fd, _PLAIN, recursive=True)
    return tree_fd


def _of_joined(mounts_fd: int) -> int:
    """The shared memory of the container whose mount namespace this is; -1 where it has none.

    It is cloned in there: the kernel clones only what is mounted in the caller's own namespace.
    """
    own_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    own_root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    namespaces.setns(mounts_fd, namespaces.CLONE_NEWNS)
    try:
        root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        shm_fd = open_in_root(root_fd, "dev/shm", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        tree_fd = mount.clone_tree(shm_fd)
    except FileNotFoundError:
        return -1
    else:
        mount.set_attributes(tree_fd, _PLAIN)
        return tree_fd
    finally:
        namespaces.setns(own_fd, namespaces.CLONE_NEWNS)
        os.fchdir(own_root_fd)
        os.chroot(".")


def _new_cgroups(readonly: int) -> tuple[tuple[str, int], ...]:
    """What to see of the control groups, from this process's own ones down. Spec: cgroups(7)."""
    with open("/proc/self/cgroup", "rb", buffering=0) as file:
        lines = file.read().decode().splitlines()
    hierarchies = [line.split(":", 2)[1] for line in lines]
    attributes = _PLAIN | readonly
    if hierarchies == [""]:
        return (("", mount.new_filesystem("cgroup2", (), attributes)),)
    if not hierarchies:
        return ()
    found = [("", mount.new_filesystem("tmpfs", ("mode=755", "size=64k"), _PLAIN))]
    for controllers in hierarchies:
        name = controllers.removeprefix("name=") or "unified"
        fd = _new_hierarchy(controllers, attributes)
        if fd >= 0:
            found.append((name, fd))
    return tuple(found)


def _new_hierarchy(controllers: str, attributes: int) -> int:
    try:
        if not controllers:
            return mount.new_filesystem("cgroup2", (), attributes)
        named = controllers.startswith("name=")
        options = ("none", controllers) if named else tuple(controllers.split(","))
        return mount.new_filesystem("cgroup", options, attributes)
    except OSError:  # mounted with options that a second mount must repeat; nobody needs to see it
        return -1


def attach(special: Special, root_fd: int, report: Report, *, privileged: bool) -> None:
    """Put them in the root filesystem."""
    for name, tree_fd in (
        ("proc", special.proc_fd),
        ("sys", special.sys_fd),
        ("dev", special.dev_fd),
    ):
        report.doing("mount", f"/{name}")
        target_fd = open_plain_directory(root_fd, name)
        mount.attach(tree_fd, target_fd)
        os.close(target_fd)
    _attach_cgroups(special, report, privileged=privileged)
    for name, tree_fd in (
        ("pts", special.pts_fd),
        ("shm", special.shm_fd),
        ("mqueue", special.mqueue_fd),
    ):
        report.doing("mount", f"/dev/{name}")
        if tree_fd >= 0:
            os.mkdir(name, 0o755, dir_fd=special.dev_fd)
            _attach_below(special.dev_fd, name, tree_fd)


def _attach_cgroups(special: Special, report: Report, *, privileged: bool) -> None:
    if not special.cgroups:
        return
    report.doing("mount", "/sys/fs/cgroup")
    (_, top_fd), *hierarchies = special.cgroups
    try:
        _attach_below(special.sys_fd, "fs/cgroup", top_fd)
    except FileNotFoundError:  # a /sys without one
        return
    for name, tree_fd in hierarchies:
        os.mkdir(name, 0o755, dir_fd=top_fd)
        _attach_below(top_fd, name, tree_fd)
    for name in _single_controllers(hierarchies):
        os.symlink(_group_of(name, hierarchies), name, dir_fd=top_fd)
    if hierarchies and not privileged:
        mount.set_attributes(top_fd, mount.ATTR_RDONLY)


def _single_controllers(hierarchies: list[tuple[str, int]]) -> list[str]:
    return [name for group, _ in hierarchies if "," in group for name in group.split(",")]


def _group_of(controller: str, hierarchies: list[tuple[str, int]]) -> str:
    return next(group for group, _ in hierarchies if controller in group.split(","))


def _attach_below(directory_fd: int, name: str, tree_fd: int) -> None:
    target_fd = open_beneath(directory_fd, name, os.O_PATH | os.O_DIRECTORY)
    mount.attach(tree_fd, target_fd)
    os.close(target_fd)
