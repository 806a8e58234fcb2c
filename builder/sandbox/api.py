"""The interface of an executor: one process, with all that it starts, over a root filesystem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from builder.sandbox.confinement import Confinement
from builder.sandbox.monitor.charge import Charge
from cache.record import record

Network = Literal["host", "none", "private"]
"""The host's; a new one with loopback alone; a new one that `Hooks.before_execute` sets up."""

MountFlag = Literal["noexec", "nosuid", "nodev"]

Propagation = Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"]
"""How mounts made later inside it spread, as in mount(8); with an r: those inside it as well."""

JoinableNamespace = Literal["net", "ipc", "uts", "pid", "cgroup"]

DEFAULT_CAPABILITIES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""Docker's 14."""

DEFAULT_HOSTNAME = "pybuildsandbox"
DEFAULT_SHM_BYTES = 64 << 20


@record
class Credentials:
    """Numeric ids inside the container."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()  # supplementary; always set, so that the caller's are dropped


@record
class BindEntry:
    """A file or directory of the host's, made visible at `target`.

    `source` is a path that the caller trusts (already resolved: no component is under a hostile
    tree's control, or it is /proc/self/fd/N of an O_PATH descriptor of the calling process).
    """

    source: str
    target: str  # absolute, inside the root filesystem; links in it stay inside the root
    readonly: bool = False
    recursive: bool = True
    flags: tuple[MountFlag, ...] = ()  # nodev counts always, unless the process is privileged
    propagation: Propagation = "rprivate"


@record
class TmpfsEntry:
    """A fresh tmpfs at `target`."""

    target: str
    size_bytes: int = 0
    mode: int = 0o1777
    options: tuple[str, ...] = ()  # more of the file system's own: "uid=7"; they win
    flags: tuple[MountFlag, ...] = ("nosuid", "nodev")
    readonly: bool = False


@record
class OverlayEntry:
    """A directory tree whose writes go to `upperdir`, seen at `target`: a writable bind mount."""

    lowerdir: str
    upperdir: str
    workdir: str
    target: str


@record
class DeviceNode:
    """A device of this machine that the process gets."""

    source: str  # absolute path of its node here
    path: str  # below the process's /dev


@record
class IdMaps:
    """The ids of a user namespace; ranges are (first inside, first outside, count)."""

    uids: tuple[tuple[int, int, int], ...]
    gids: tuple[tuple[int, int, int], ...]


MountEntry = BindEntry | TmpfsEntry | OverlayEntry


@record
class ProcessSpec:
    """All that decides how a process runs. Terms: OCI runtime-spec config.md."""

    rootfs_dir: str  # where the caller has mounted the root filesystem, writable or not
    args: tuple[str, ...]  # args[0] without "/" is looked up in env's PATH, inside the rootfs
    env: tuple[str, ...]  # "NAME=value"
    cwd: str = "/"  # made (root, 0755) where it is missing
    credentials: Credentials = Credentials()
    mounts: tuple[MountEntry, ...] = ()  # in this order, after /proc, /sys and /dev
    hostname: str = DEFAULT_HOSTNAME
    network: Network = "host"
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privileges: bool = False
    seccomp: str = "default"  # "default", "unconfined" or a profile, Docker's JSON
    confinement: Confinement = Confinement()
    id_maps: IdMaps | None = None  # of a user namespace of its own; None for the caller's
    privileged: bool = False  # no masks, rw /sys, all capabilities: --security=insecure
    readonly_rootfs: bool = False
    terminal: bool = False  # a pty from the container's own devpts; stdio is that
    terminal_size: tuple[int, int] = (0, 0)  # rows and columns, from the start; 0: not known
    shm_size_bytes: int = DEFAULT_SHM_BYTES  # 0: no /dev/shm
    rlimits: tuple[
        tuple[str, int, int], ...
    ] = ()  # ("nofile", soft, hard); clamped, never an error
    oom_score_adj: int = 0
    init: bool = False  # a first process that reaps and passes signals on starts the program
    devices: tuple[DeviceNode, ...] = ()
    devices_ruled: bool = False  # its group says what may be opened: no mount needs to be nodev
    cgroup_files: tuple[str, ...] = ()  # cgroup.procs of the groups to join
    joined: tuple[JoinedNamespace, ...] = ()  # at most one of a kind


@record
class JoinedNamespace:
    """A namespace of another process's, in place of a new one.

    The process is named by its pid and by the clock ticks after boot at which it started, so that
    one which got the pid later is never taken for it.
    """

    kind: JoinableNamespace
    pid: int
    pid_started: int


@record
class Hooks:
    """What the caller does to a process that it starts, from outside, before the program runs.

    Each is called with the pid (as this process sees it) of the child, which waits meanwhile; an
    exception that a hook raises ends the child and comes out of `Executor.start`.

    `on_clone`: the child is in its new namespaces and has done nothing yet, not even mounted: the
    moment to write /proc/PID/uid_map. `before_execute`: called at once after that, while the child
    makes its mounts; the child waits for the hook's end before it gives up its privileges and
    executes: the moment to configure /proc/PID/ns/net.
    """

    on_clone: Callable[[int], None] | None = None
    before_execute: Callable[[int], None] | None = None


@record
class Stdio:
    """File descriptors of this process that the new one gets as 0, 1, 2; None is /dev/null.

    Unused with a terminal. The caller keeps and closes its own.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


@record
class ExitStatus:
    """How the first process ended."""

    code: int  # its exit code; 128 + n where signal n ended it
    signal: int = 0


class Process(Protocol):
    """A running process and all that it started."""

    @property
    def pid(self) -> int:
        """Of the first process, as this process sees it."""
        ...

    @property
    def terminal_fd(self) -> int | None:
        """The pty's master, with `ProcessSpec.terminal`; the caller closes it."""
        ...

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Until the first process has ended and all others were killed; None after the timeout."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to the first process. Nothing happens when it has ended."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of them. Nothing happens when they have ended."""
        ...


class Executor(Protocol):
    """Starts processes; safe from several threads. Leaves no process, mount, descriptor behind."""

    def prepare(self) -> None:
        """Begin to get ready, so that the first start is sooner. Idempotent."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is less isolated here than it should be, a sentence each; grows with `start`."""
        ...

    def start(self, spec: ProcessSpec, stdio: Stdio, hooks: Hooks = Hooks()) -> Process:  # noqa: B008 - frozen
        """Returns when the program was executed.

        ProgramNotFoundError, ProgramNotExecutableError where it can't be; IsolationError where the
        kernel denies a namespace or a mount, naming it.
        """
        ...

    def close(self) -> None:
        """End what still runs."""
        ...


@record
class OutsideProgram:
    """A program that is run as it is, in no sandbox: another runtime."""

    args: tuple[str, ...]  # args[0] is its path
    env: tuple[str, ...]  # "NAME=value"
    directory: str
    cgroup_files: tuple[str, ...] = ()  # cgroup.procs of the groups to join


class ContainerExecutor(Executor, Protocol):
    """An executor whose process can outlive this one, as a container with a monitor."""

    def entrust(self, process: Process, charge: Charge, fds: list[int]) -> None:
        """Hand the process that `start` gave over, and this executor's server with it.

        Places in `charge` are those in `fds`, which stay the caller's. Nothing else may be started
        afterwards; `close` ends nothing any more.
        """
        ...

    def join(self) -> None:
        """Wait until the monitor has ended."""
        ...

    def run_outside(self, program: OutsideProgram, stdio: Stdio) -> int:
        """Run it to its end; its exit status, 127 too where it could not be executed."""
        ...

    def adopt(self, pid: int, spec: ProcessSpec, *, terminal_fd: int | None) -> Process:
        """Take charge of a process that such a program has left, as if `start` had made it.

        `spec` is what the program was told, `terminal_fd` its terminal's master, the process's now.
        """
        ...
