"""Binds whose mounts spread: from this machine into the container (slave), and back (shared).

This command's own mount namespace is a slave of its caller's, so a clone of a mount here learns of
what the caller's namespace mounts. One that is to tell the caller's namespace of mounts must be
cloned there: a thread goes back for it.
"""

from __future__ import annotations

import errno
import os
import threading

from builder.errors import IsolationError
from builder.kernel import mount
from builder.kernel.libc import AT_FDCWD
from builder.kernel.namespaces import CLONE_FS, CLONE_NEWNS, setns, unshare
from builder.sandbox.idmap import callers_mount_namespace

_MACHINE = "/proc/1/ns/mnt"


def clone_shared(source: str, *, recursive: bool) -> int:
    """A mount of `source` that is one of the caller's own peers; an unattached one, to be closed.

    IsolationError where the source is on no shared mount, or this is an ordinary user's command:
    the kernel lets nothing that an ordinary user mounts out of their namespace.
    """
    namespace_fd = _namespace_of_peers(source)
    found: list[int] = []
    failures: list[OSError | IsolationError] = []

    def clone_there() -> None:
        try:
            unshare(CLONE_FS)  # a namespace can be entered by one who shares no directory
            setns(namespace_fd, CLONE_NEWNS)
            require(source, "shared")
            found.append(mount.clone_tree(AT_FDCWD, source, recursive=recursive))
        except (OSError, IsolationError) as error:
            failures.append(error)

    thread = threading.Thread(target=clone_there, name="shared mount")
    thread.start()
    thread.join()
    os.close(namespace_fd)
    if failures:
        raise failures[0]
    return found[0]


def _namespace_of_peers(source: str) -> int:
    """The caller's; of a container that is started again when its caller is gone, the machine's."""
    fd = callers_mount_namespace()
    try:
        return os.dup(fd) if fd is not None else os.open(_MACHINE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IsolationError(
            f"{source} cannot be shared with the container: this process has no way back to the "
            "mounts of its caller",
            hint="as an ordinary user mounts spread one way alone: rslave",
        ) from error


def require(source: str, kind: str) -> None:
    """IsolationError where the mount that `source` lies on has no peers ("shared") or no master."""
    mount_point, tags = _mount_of(source)
    wanted = ("shared:",) if kind == "shared" else ("shared:", "master:")
    if not any(tag.startswith(wanted) for tag in tags):
        words = "a shared mount" if kind == "shared" else "a shared or slave mount"
        raise IsolationError(
            f"{source} is on the mount {mount_point}, which is not {words}",
            hint=f"mount --make-rshared {mount_point} makes it one",
        )


def _mount_of(source: str) -> tuple[str, list[str]]:
    """Where the mount of `source` is attached, and how it spreads. Spec: proc(5), mountinfo."""
    fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{fd}", encoding="ascii") as file:
            mount_id = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(fd)
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[0] == mount_id:
                return fields[4], fields[6 : fields.index("-")]
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), source)
