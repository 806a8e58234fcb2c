"""What the executor asks the server for: one process. Numbers and plain text, no policy.

On the way descriptors are places in the list that travels with the request; `decoded` puts the
received descriptors in.
"""

from __future__ import annotations

import marshal

from builder.sandbox.child.confinement import Confinement
from builder.sandbox.child.fields import Record


class BindMount(Record):
    """A file or directory of the host's at `target`."""

    __slots__ = ("attributes", "propagation", "recursive", "source", "source_fd", "target")

    def __init__(
        self,
        *,
        source: str,
        source_fd: int,
        target: str,
        attributes: int,
        recursive: bool,
        propagation: int,
    ) -> None:
        self.source = source  # "" where source_fd names it
        self.source_fd = source_fd  # -1 where source names it
        self.target = target
        self.attributes = attributes  # ATTR_*
        self.recursive = recursive
        self.propagation = propagation  # MS_*, with MS_REC


class TmpfsMount(Record):
    """A fresh tmpfs at `target`."""

    __slots__ = ("attributes", "options", "target")

    def __init__(self, *, target: str, options: tuple[str, ...], attributes: int) -> None:
        self.target = target
        self.options = options  # "size=4096"
        self.attributes = attributes  # ATTR_*


class OverlayMount(Record):
    """A tree at `target` whose writes go to `upperdir`."""

    __slots__ = ("lowerdir", "target", "upperdir", "workdir")

    def __init__(self, *, lowerdir: str, upperdir: str, workdir: str, target: str) -> None:
        self.lowerdir = lowerdir
        self.upperdir = upperdir
        self.workdir = workdir
        self.target = target


Mount = BindMount | TmpfsMount | OverlayMount
_MOUNTS: dict[str, type[BindMount | TmpfsMount | OverlayMount]] = {
    mount.__name__: mount for mount in (BindMount, TmpfsMount, OverlayMount)
}


class Request(Record):
    """A process to start."""

    __slots__ = (
        "args",
        "capabilities",
        "cgroup_fds",
        "confinement",
        "cwd",
        "devices",
        "devices_usable",
        "env",
        "gid",
        "groups",
        "hostname",
        "init",
        "joined_fds",
        "mounts",
        "new_network",
        "new_user",
        "no_new_privileges",
        "oom_score_adj",
        "privileged",
        "readonly_rootfs",
        "rlimits",
        "rootfs_dir",
        "rootless",
        "seccomp_fd",
        "shm_size_bytes",
        "stdio_fds",
        "terminal",
        "terminal_size",
        "uid",
        "waits_before_execute",
        "waits_on_clone",
    )

    def __init__(
        self,
        *,
        rootfs_dir: str,
        args: tuple[str, ...],
        env: tuple[str, ...],
        cwd: str,
        uid: int,
        gid: int,
        groups: tuple[int, ...],
        mounts: tuple[Mount, ...],
        hostname: str,
        new_network: bool,
        new_user: bool,
        confinement: Confinement,
        capabilities: int,
        no_new_privileges: bool,
        privileged: bool,
        readonly_rootfs: bool,
        rootless: bool,
        terminal: bool,
        terminal_size: tuple[int, int],
        shm_size_bytes: int,
        oom_score_adj: int,
        init: bool,
        devices: tuple[tuple[str, str], ...],
        devices_usable: bool,
        rlimits: tuple[tuple[int, int, int], ...],
        stdio_fds: tuple[int, int, int],
        seccomp_fd: int,
        cgroup_fds: tuple[int, ...],
        joined_fds: tuple[tuple[str, int], ...],
        waits_on_clone: bool,
        waits_before_execute: bool,
    ) -> None:
        self.rootfs_dir = rootfs_dir
        self.args = args
        self.env = env
        self.cwd = cwd
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.mounts = mounts
        self.hostname = hostname
        self.new_network = new_network
        self.new_user = new_user
        self.confinement = confinement
        self.capabilities = capabilities  # a mask: the bounding set
        self.no_new_privileges = no_new_privileges
        self.privileged = privileged
        self.readonly_rootfs = readonly_rootfs
        self.rootless = rootless
        self.terminal = terminal
        self.terminal_size = terminal_size
        self.shm_size_bytes = shm_size_bytes
        self.oom_score_adj = oom_score_adj
        self.init = init  # whether the program gets a first process that looks after it
        self.devices = devices  # (path below /dev, path here)
        self.devices_usable = devices_usable  # else every mount is nodev
        self.rlimits = rlimits  # (RLIMIT_*, soft, hard)
        self.stdio_fds = stdio_fds  # -1: /dev/null
        self.seccomp_fd = seccomp_fd  # a file of BPF instructions; -1: no filter
        self.cgroup_fds = cgroup_fds  # of cgroup.procs files to join
        self.joined_fds = joined_fds  # ("net", a namespace), ...: entered, not made
        self.waits_on_clone = waits_on_clone
        self.waits_before_execute = waits_before_execute

    def changed(self, **changes: object) -> Request:
        """The same request but for the `changes`."""
        return Request(**(self.fields() | changes))  # type: ignore[arg-type]

    def joins(self, kind: str) -> bool:
        """Whether the process enters a namespace of that kind, and gets no new one."""
        return any(kind == each for each, _ in self.joined_fds)


def encoded(request: Request) -> bytes:
    """The request as bytes."""
    mounts = tuple((type(mount).__name__, mount.fields()) for mount in request.mounts)
    confinement = request.confinement.fields()
    return marshal.dumps(request.fields() | {"mounts": mounts, "confinement": confinement})


def decoded(data: bytes, fds: tuple[int, ...]) -> Request:
    """The request again; places in the list of descriptors become the descriptors `fds`."""
    fields = marshal.loads(data)  # noqa: S302 - from our own process, and data only
    mounts: list[Mount] = []
    for name, mount_fields in fields.pop("mounts"):
        mount = _MOUNTS[name](**mount_fields)
        if isinstance(mount, BindMount) and mount.source_fd >= 0:
            mount.source_fd = fds[mount.source_fd]
        mounts.append(mount)
    confinement = Confinement(**fields.pop("confinement"))
    request = Request(mounts=tuple(mounts), confinement=confinement, **fields)

    def fd_at(place: int) -> int:
        return fds[place] if place >= 0 else -1

    stdin, stdout, stderr = request.stdio_fds
    request.stdio_fds = (fd_at(stdin), fd_at(stdout), fd_at(stderr))
    request.seccomp_fd = fd_at(request.seccomp_fd)
    request.cgroup_fds = tuple(map(fd_at, request.cgroup_fds))
    request.joined_fds = tuple((kind, fd_at(place)) for kind, place in request.joined_fds)
    return request
