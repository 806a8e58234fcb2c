"""/dev: device nodes, links, the terminal, and stdio.

The nodes are binds of the host's where the tmpfs and the root filesystem are mounted nodev, so that
no node made inside can be opened. Where a control group says what may be opened, root makes them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from builder.kernel import mount
from builder.kernel.paths import open_beneath
from builder.sandbox.child.filesystems import Special
from builder.sandbox.child.request import Request
from builder.sandbox.child.wire import Report

_NODES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
"""Name and device number, that is checked: /dev/null also serves to hide files of /proc."""

_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "core": "/proc/kcore",
}
_OWN_DIRECTORIES = frozenset({"pts", "shm", "mqueue", "fd", "hugepages"})
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCSCTTY = 0x540E
_TIOCSWINSZ = 0x5414


class Node:
    """A node that the process gets: a mount of the host's, or one to be made anew."""

    __slots__ = ("info", "path", "tree_fd")

    def __init__(self, path: str, tree_fd: int, info: os.stat_result) -> None:
        self.path = path  # below /dev
        self.tree_fd = tree_fd  # unattached
        self.info = info


def take_nodes(request: Request, report: Report) -> list[Node]:
    """The nodes that the process gets, while the host's can still be named."""
    found = [(name, f"/dev/{name}") for name in _NODES]
    if request.privileged:
        found += _other_nodes()
    nodes: list[Node] = []
    for path, source in (*found, *request.devices):
        report.doing("device", source)
        try:
            fd = os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            if path in _NODES and path != "null":  # that one covers what is to be hidden
                continue
            raise
        info = os.fstat(fd)
        if not _is_device(info, _NODES.get(path) if source == f"/dev/{path}" else None):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), source)
        nodes.append(Node(path, mount.clone_tree(fd), info))
        os.close(fd)
    return nodes


def _is_device(info: os.stat_result, number: tuple[int, int] | None) -> bool:
    if number is not None and info.st_rdev != os.makedev(*number):
        return False
    return stat.S_ISCHR(info.st_mode) or (number is None and stat.S_ISBLK(info.st_mode))


def _other_nodes() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for directory, subdirectories, files in os.walk("/dev"):
        if directory == "/dev":
            subdirectories[:] = [name for name in subdirectories if name not in _OWN_DIRECTORIES]
        for name in files:
            path = os.path.join(directory, name)
            inside = os.path.relpath(path, "/dev")
            kind = os.lstat(path).st_mode
            is_usual = inside in _NODES or inside in {"ptmx", "console"}
            if not is_usual and (stat.S_ISCHR(kind) or stat.S_ISBLK(kind)):
                found.append((inside, path))
    return found


def populate(special: Special, nodes: list[Node], request: Request, report: Report) -> None:
    """Put nodes and links into the new /dev."""
    may_make = request.devices_usable and not request.rootless
    for node in nodes:
        report.doing("device", f"/dev/{node.path}")
        if not (may_make and _made(special.dev_fd, node)):
            _attach_file(special.dev_fd, node.path, node.tree_fd)
        os.close(node.tree_fd)
    for name, target in _LINKS.items():
        os.symlink(target, name, dir_fd=special.dev_fd)


def _made(dev_fd: int, node: Node) -> bool:
    """Whether the node could be made anew: a change of its mode is then no change of the host's."""
    _make_parents(dev_fd, node.path)
    try:
        os.mknod(node.path, node.info.st_mode, node.info.st_rdev, dir_fd=dev_fd)
    except PermissionError:  # root of a container around this one, or of no user namespace's
        return False
    os.chown(node.path, node.info.st_uid, node.info.st_gid, dir_fd=dev_fd)
    os.chmod(node.path, stat.S_IMODE(node.info.st_mode), dir_fd=dev_fd)  # whatever the umask
    return True


def _make_parents(dev_fd: int, path: str) -> None:
    parts = path.split("/")
    for depth in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:depth]), 0o755, dir_fd=dev_fd)
        except FileExistsError:
            continue


def _attach_file(dev_fd: int, path: str, tree_fd: int) -> None:
    _make_parents(dev_fd, path)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=dev_fd))
    target_fd = open_beneath(dev_fd, path, os.O_PATH | os.O_NOFOLLOW)
    mount.attach(tree_fd, target_fd)
    os.close(target_fd)


def open_terminal(special: Special, request: Request, report: Report) -> None:
    """Make a pty in the new /dev/pts this session's terminal and stdio; its master goes home."""
    report.doing("terminal", "/dev/pts/ptmx")
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master_fd = os.open("ptmx", flags, dir_fd=special.pts_fd)
    fcntl.ioctl(master_fd, _TIOCSPTLCK, struct.pack("=i", 0))
    fcntl.ioctl(master_fd, _TIOCSWINSZ, struct.pack("=HHHH", *request.terminal_size, 0, 0))
    # the other end by the master and not by a name
    slave_fd = fcntl.ioctl(master_fd, _TIOCGPTPEER, flags)
    os.fchown(slave_fd, request.uid, -1)
    report.hand_over_terminal(master_fd)
    os.close(master_fd)
    fcntl.ioctl(slave_fd, _TIOCSCTTY, 0)
    _attach_file(special.dev_fd, "console", mount.clone_tree(slave_fd))
    use_stdio((slave_fd, slave_fd, slave_fd))


def use_stdio(fds: tuple[int, int, int]) -> None:
    """Make these 0, 1 and 2; what is -1 stays the server's /dev/null."""
    for number, fd in enumerate(fds):
        if fd >= 0:
            os.dup2(fd, number)
