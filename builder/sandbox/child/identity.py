"""Who the process is and what it may do: limits, ids, capabilities, the system call filter."""

from __future__ import annotations

import errno
import os
import resource

from builder.kernel import capabilities, keyring, seccomp
from builder.kernel.process import (
    die_with_parent,
    keep_capabilities,
    set_dumpable,
    set_no_new_privileges,
)
from builder.sandbox.child.request import Request
from builder.sandbox.child.wire import Report

_MAX_FILTER_BYTES = 1 << 20


def limit_resources(request: Request) -> None:
    """Set the limits; one above what this process may ask for becomes the most that it may."""
    for kind, soft, hard in request.rlimits:
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, PermissionError):
            most = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (_smaller(soft, _smaller(hard, most)), _smaller(hard, most)))


def _smaller(limit: int, other: int) -> int:
    if resource.RLIM_INFINITY in {limit, other}:
        return limit if other == resource.RLIM_INFINITY else other
    return min(limit, other)


def enter(request: Request, report: Report) -> None:
    """Take on the ids and give up all that the process is not to have.

    The filter comes when the ids are set but CAP_SYS_ADMIN is still there, since without
    no_new_privs only that may load one; what follows it are capset and execve, which it allows.
    """
    report.doing("keyring")
    keyring.join_new_session()  # else the keys of whoever runs us could be asked for
    report.doing("capabilities")
    permitted = capabilities.get_sets()[1]
    allowed = request.capabilities & permitted
    capabilities.limit_bounding(request.capabilities)
    capabilities.clear_ambient()
    entered = _enter_cwd(request.cwd, report)
    _set_ids(request, report)
    own = 0 if request.uid else allowed
    capabilities.set_sets(effective=own, permitted=permitted)
    if not _enter_cwd(request.cwd, report) and not entered:
        report.doing("cwd", request.cwd)
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    _check_cwd(request.cwd, report)
    report.doing("capabilities")
    capabilities.set_sets(effective=permitted, permitted=permitted)
    if request.no_new_privileges:
        set_no_new_privileges()
    die_with_parent()  # once more: the change of ids has undone it
    _load_filter(request.seccomp_fd, report)
    capabilities.set_sets(effective=own, permitted=own)


def become_root(report: Report) -> None:
    """Take the ids of the root of the user namespace that this process was made in."""
    report.doing("user", "0:0")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setgroups(())
    die_with_parent()  # once more: the change of ids has undone it
    set_dumpable(dumpable=True)  # else its own entries in /proc would not be its own


def _set_ids(request: Request, report: Report) -> None:
    report.doing("user", f"{request.uid}:{request.gid}")
    try:
        os.setgroups(request.groups)
    except PermissionError:
        # with one mapped id the kernel keeps the caller's groups; they are not in the map, so
        # they give nothing but what the caller has
        if request.groups or not request.rootless:
            raise
    keep_capabilities()
    os.setresgid(request.gid, request.gid, request.gid)
    os.setresuid(request.uid, request.uid, request.uid)


def _enter_cwd(cwd: str, report: Report) -> bool:
    """Whether the directory could be entered; as root first, as the user then, as runc does it."""
    report.doing("cwd", cwd)
    try:
        os.chdir(cwd)
    except PermissionError:
        return False
    return True


def _check_cwd(cwd: str, report: Report) -> None:
    """Refuse a directory outside the root, that a leaked descriptor could lead to."""
    report.doing("cwd", cwd)
    if not os.getcwd().startswith("/"):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), cwd)


def _load_filter(seccomp_fd: int, report: Report) -> None:
    if seccomp_fd < 0:
        return
    report.doing("seccomp")
    seccomp.load_filter(os.pread(seccomp_fd, _MAX_FILTER_BYTES, 0))
