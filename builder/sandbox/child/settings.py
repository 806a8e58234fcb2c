"""Kernel settings (sysctls) and labels of security modules, written through a /proc that is one.

What is written to /proc/self/attr/exec or below /proc/sys must reach procfs: an image, or a mount
that another container shares with this one, may have put a file of its own there
(CVE-2019-16884, CVE-2025-52881). So it all goes through the mount that was made here, and the file
is asked which file system it is of.
"""

from __future__ import annotations

import errno
import os

from builder.kernel.paths import file_system_of, open_beneath
from builder.sandbox.child.confinement import Confinement
from builder.sandbox.child.filesystems import Special
from builder.sandbox.child.wire import Report

_PROC_SUPER_MAGIC = 0x9FA0


def write(special: Special, confinement: Confinement, report: Report) -> None:
    """Set the sysctls, before /proc/sys is made read-only."""
    for name, value in confinement.sysctls:
        report.doing("sysctl", name)
        path = name.translate(str.maketrans("./", "/."))
        fd = open_proc(special.proc_fd, f"sys/{path}", os.O_WRONLY)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


def label(proc_fd: int, confinement: Confinement, report: Report) -> None:
    """Have the next execve enter the AppArmor profile and the SELinux label, by this /proc."""
    if confinement.apparmor:
        report.doing("apparmor", confinement.apparmor)
        text = f"exec {confinement.apparmor}"
        try:
            _set_attribute(proc_fd, "apparmor/exec", text)
        except FileNotFoundError:  # before Linux 5.8 the modules shared one file
            _set_attribute(proc_fd, "exec", text)
    if confinement.selinux:
        report.doing("selinux", confinement.selinux)
        _set_attribute(proc_fd, "exec", confinement.selinux)


def _set_attribute(proc_fd: int, name: str, text: str) -> None:
    # the number that this process has in the pid namespace of that /proc
    pid = os.readlink("self", dir_fd=proc_fd)
    fd = open_proc(proc_fd, f"{pid}/attr/{name}", os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def open_proc(proc_fd: int, path: str, flags: int) -> int:
    """Open a file of procfs. OSError with EXDEV where something else lies in its place."""
    fd = open_beneath(proc_fd, path, flags, links=False)
    if file_system_of(fd) != _PROC_SUPER_MAGIC:
        os.close(fd)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), f"/proc/{path}")
    return fd
