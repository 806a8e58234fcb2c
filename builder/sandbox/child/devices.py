"""/dev: device nodes, links, the terminal, and stdio.

The nodes are binds of the host's, for root as for others: the tmpfs and the root filesystem are
mounted nodev, so that no node made inside can be opened.
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


def take_nodes(report: Report, *, all_nodes: bool) -> list[tuple[str, int]]:
    """(path below /dev, unattached mount) of each of the host's nodes that the process gets."""
    host_fd = os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    nodes: list[tuple[str, int]] = []
    for name, number in _NODES.items():
        report.doing("device", f"/dev/{name}")
        try:
            node_fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=host_fd)
        except FileNotFoundError:
            if name == "null":  # it covers what is to be hidden
                raise
            continue
        info = os.fstat(node_fd)
        if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(*number):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), f"/dev/{name}")
        nodes.append((name, mount.clone_tree(node_fd)))
        os.close(node_fd)
    if all_nodes:
        nodes += _other_nodes()
    os.close(host_fd)
    return nodes


def _other_nodes() -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for directory, subdirectories, files in os.walk("/dev"):
        if directory == "/dev":
            subdirectories[:] = [name for name in subdirectories if name not in _OWN_DIRECTORIES]
        for name in files:
            path = os.path.join(directory, name)
            inside = os.path.relpath(path, "/dev")
            kind = os.lstat(path).st_mode
            if inside not in _NODES and (stat.S_ISCHR(kind) or stat.S_ISBLK(kind)):
                fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
                found.append((inside, mount.clone_tree(fd)))
                os.close(fd)
    return [(path, fd) for path, fd in found if path not in {"ptmx", "console"}]


def populate(special: Special, nodes: list[tuple[str, int]], report: Report) -> None:
    """Put nodes and links into the new /dev."""
    for path, tree_fd in nodes:
        report.doing("device", f"/dev/{path}")
        _attach_file(special.dev_fd, path, tree_fd)
        os.close(tree_fd)
    for name, target in _LINKS.items():
        os.symlink(target, name, dir_fd=special.dev_fd)


def _attach_file(dev_fd: int, path: str, tree_fd: int) -> None:
    parts = path.split("/")
    for depth in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:depth]), 0o755, dir_fd=dev_fd)
        except FileExistsError:
            continue
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
