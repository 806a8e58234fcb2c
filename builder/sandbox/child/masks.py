"""Parts of /proc and /sys that no process in a sandbox may see, or may only read.

The lists are Docker's. All goes through the descriptors of the mounts that were made here, so that
nothing of the image's can stand in for them.
"""

from __future__ import annotations

import os
import stat

from builder.kernel import mount
from builder.kernel.paths import open_beneath
from builder.sandbox.child.filesystems import Special
from builder.sandbox.child.wire import Report

_MASKED_IN_PROC = (
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
)
_MASKED_IN_SYS = ("devices/virtual/powercap", "firmware")
_READONLY_IN_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_EMPTY = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC
_PROCESSORS = "devices/system/cpu"


def hide(special: Special, report: Report) -> None:
    """Cover what is to be hidden, and make the rest of the list read-only."""
    null_fd = open_beneath(special.dev_fd, "null", os.O_PATH | os.O_NOFOLLOW)
    in_sys = (*_MASKED_IN_SYS, *_throttling(special.sys_fd))
    for top_fd, top, names in (
        (special.proc_fd, "/proc", _MASKED_IN_PROC),
        (special.sys_fd, "/sys", in_sys),
    ):
        for name in names:
            report.doing("mask", f"{top}/{name}")
            _cover(top_fd, name, null_fd)
    for name in _READONLY_IN_PROC:
        report.doing("mask", f"/proc/{name}")
        _make_readonly(special.proc_fd, name)
    os.close(null_fd)


def _cover(top_fd: int, name: str, null_fd: int) -> None:
    """Put /dev/null over a file, an empty file system over a directory."""
    target_fd = _open_if_there(top_fd, name)
    if target_fd < 0:
        return
    if stat.S_ISDIR(os.fstat(target_fd).st_mode):
        tree_fd = mount.new_filesystem("tmpfs", ("size=0k",), _EMPTY)
    else:
        tree_fd = mount.clone_tree(null_fd)
    mount.attach(tree_fd, target_fd)
    os.close(tree_fd)
    os.close(target_fd)


def _make_readonly(top_fd: int, name: str) -> None:
    target_fd = _open_if_there(top_fd, name)
    if target_fd < 0:
        return
    tree_fd = mount.clone_tree(target_fd, recursive=True)
    mount.set_attributes(tree_fd, mount.ATTR_RDONLY, recursive=True)
    mount.attach(tree_fd, target_fd)
    os.close(tree_fd)
    os.close(target_fd)


def _open_if_there(top_fd: int, name: str) -> int:
    try:
        return open_beneath(top_fd, name, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1


def _throttling(sys_fd: int) -> list[str]:
    """What tells one machine's load from another's, a directory for each processor."""
    try:
        fd = open_beneath(sys_fd, _PROCESSORS, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return []
    names = [name for name in os.listdir(fd) if name.startswith("cpu") and name[3:].isdigit()]
    os.close(fd)
    return [f"{_PROCESSORS}/{name}/thermal_throttle" for name in names]
