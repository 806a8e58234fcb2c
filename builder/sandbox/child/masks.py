"""Parts of /proc and /sys that no process in a sandbox may see, or may only read.

The request has the lists. All goes through the descriptors of the mounts that were made here, so
that nothing of the image's can stand in for them.
"""

from __future__ import annotations

import os
import stat

from builder.kernel import mount
from builder.kernel.paths import open_beneath, open_in_root
from builder.sandbox.child.confinement import Confinement
from builder.sandbox.child.filesystems import Special
from builder.sandbox.child.wire import Report

_EMPTY = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC


def hide_system(special: Special, confinement: Confinement, report: Report) -> None:
    """Cover what is to be hidden of /proc and /sys; what is to be read-only of them, is so then."""
    null_fd = open_beneath(special.dev_fd, "null", os.O_PATH | os.O_NOFOLLOW)
    tops = {"/proc/": special.proc_fd, "/sys/": special.sys_fd}
    for paths, change in ((confinement.masked, _cover), (confinement.readonly, _make_readonly)):
        for path in paths:
            for top, top_fd in tops.items():
                if path.startswith(top):
                    report.doing("mask", path)
                    change(_open_if_there(top_fd, path[len(top) :]), null_fd)
    os.close(null_fd)


def hide_others(root_fd: int, special: Special, confinement: Confinement, report: Report) -> None:
    """Cover what is to be hidden elsewhere, when all of it is mounted."""
    others = [path for path in confinement.masked if not path.startswith(("/proc/", "/sys/"))]
    if not others:
        return
    null_fd = open_beneath(special.dev_fd, "null", os.O_PATH | os.O_NOFOLLOW)
    for path in others:
        report.doing("mask", path)
        try:
            target_fd = open_in_root(root_fd, path, os.O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            continue
        _cover(target_fd, null_fd)
    os.close(null_fd)


def _cover(target_fd: int, null_fd: int) -> None:
    """Put /dev/null over a file, an empty file system over a directory."""
    if target_fd < 0:
        return
    if stat.S_ISDIR(os.fstat(target_fd).st_mode):
        tree_fd = mount.new_filesystem("tmpfs", ("size=0k",), _EMPTY)
    else:
        tree_fd = mount.clone_tree(null_fd)
    _put(tree_fd, target_fd)


def _make_readonly(target_fd: int, _: int) -> None:
    if target_fd < 0:
        return
    tree_fd = mount.clone_tree(target_fd, recursive=True)
    mount.set_attributes(tree_fd, mount.ATTR_RDONLY, recursive=True)
    _put(tree_fd, target_fd)


def _put(tree_fd: int, target_fd: int) -> None:
    mount.attach(tree_fd, target_fd)
    os.close(tree_fd)
    os.close(target_fd)


def _open_if_there(top_fd: int, name: str) -> int:
    try:
        return open_beneath(top_fd, name, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
