"""From what a child could not do, (operation, errno, path), to an error in the user's words."""

from __future__ import annotations

import errno
import os

from builder.errors import IsolationError
from builder.sandbox.errors import (
    LimitError,
    MountTargetError,
    ProgramNotExecutableError,
    ProgramNotFoundError,
    WorkingDirectoryError,
)
from cache.errors import PybuildError

_SYSTEM_TARGETS = ("/", "/proc", "/sys", "/dev", "/sys/fs/cgroup")


def error_of(operation: str, number: int, path: str) -> PybuildError:  # noqa: PLR0911 - a case each
    """The error for the operation that a child reported."""
    reason = os.strerror(number)
    match operation:
        case "execute":
            return _not_executed(number, path)
        case "interpreter":
            return ProgramNotFoundError(
                f"{path} cannot start: the interpreter or loader that it names is not in the image",
                hint="look at its first line, or at what `file` says: a missing shell, a program "
                "for another C library or another architecture",
            )
        case "cwd":
            return WorkingDirectoryError(
                f"the working directory {path} cannot be entered: {reason}",
                hint="it must be a directory that the user may enter",
            )
        case "chroot":
            return IsolationError(
                f"the root directory cannot be changed: {reason}",
                hint="chroot isolation needs root with the capability CAP_SYS_CHROOT",
            )
        case "user":
            return _ids_denied(number, path)
        case "limit":
            return _limit_denied(number, path)
        case "mount" if not _is_system(path):
            return _mount_denied(number, path)
        case _:
            return _isolation_denied(operation, number, path)


def _not_executed(number: int, path: str) -> PybuildError:
    if number in {errno.ENOENT, errno.ENOTDIR}:
        where = "is not in the image" if "/" in path else "is in no directory of the image's PATH"
        return ProgramNotFoundError(f'the program "{path}" {where}')
    hints = {
        errno.EACCES: "it must be a file with a mode that lets the user execute it",
        errno.ENOEXEC: "a script needs a first line such as #!/bin/sh; a program for another "
        "architecture needs an emulator that the kernel knows (Debian: package qemu-user-static, "
        "and binfmt_misc mounted), or a stage FROM --platform=$BUILDPLATFORM that does its work",
    }
    reason = os.strerror(number)
    return ProgramNotExecutableError(
        f'the program "{path}" cannot be executed: {reason}', hint=hints.get(number)
    )


def _ids_denied(number: int, path: str) -> PybuildError:
    hint = None
    if number in {errno.EINVAL, errno.EPERM}:
        hint = (
            "the id is not among those that this user may have: give the user subordinate ids "
            "in /etc/subuid and /etc/subgid and install newuidmap (Debian: package uidmap)"
        )
    message = f"the process cannot run as user {path}: {os.strerror(number)}"
    return IsolationError(message, hint=hint)


def _limit_denied(number: int, option: str) -> PybuildError:
    hint = None
    if number in {errno.EPERM, errno.EACCES}:
        hint = "that takes the capability CAP_SYS_RESOURCE, which this process lacks"
    return LimitError(f"{option} cannot be set: {os.strerror(number)}", hint=hint)


def _is_system(path: str) -> bool:
    return path in _SYSTEM_TARGETS or path.startswith(("/dev/pts", "/dev/shm", "/dev/mqueue"))  # noqa: S108 - no temporary file


def _mount_denied(number: int, path: str) -> PybuildError:
    hints = {
        errno.EBUSY: "a link in the image leads from there to the root of the file system",
        errno.ENOTDIR: "a directory goes on a directory and a file on a file: the image has the "
        "other one there",
        errno.EROFS: "the root file system is read-only and has no such mount point",
    }
    message = f"nothing can be mounted at {path}: {os.strerror(number)}"
    return MountTargetError(message, hint=hints.get(number))


def _isolation_denied(operation: str, number: int, path: str) -> PybuildError:
    if operation == "mount" and number in {errno.ENOTDIR, errno.ELOOP}:
        return IsolationError(
            f"the image has something at {path} that is no directory",
            hint="a link or a file there would be taken for the system's own; remove it",
        )
    hint = None
    if number in {errno.EPERM, errno.EACCES}:
        hint = (
            "a container or security module around this process forbids it; Docker: "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    elif number in {errno.ENOSPC, errno.EUSERS}:
        hint = "the limit of namespaces is reached: /proc/sys/user/max_*_namespaces"
    what = f"{operation} {path}".rstrip()
    return IsolationError(
        f"the kernel denies the sandbox: {what}: {os.strerror(number)}", hint=hint
    )
