"""A container as data: what it was asked to be, and how far it has come."""

from __future__ import annotations

from typing import Literal

from builder.image.model import ContainerConfig, Platform
from builder.runtime.limits import Limits
from builder.runtime.networking import Networking
from builder.runtime.policies import Policies
from builder.runtime.security import Security
from builder.runtime.volumes import HostMounts
from cache.digest import Digest
from cache.record import field, record

Status = Literal["created", "running", "paused", "restarting", "exited"]


EXIT_KILLED = 137
"""The exit status of a container that went down with its pybuild: that is a SIGKILL."""

EXIT_UNKNOWN = 255
"""The exit status of a container that ran when the machine went down."""


@record
class HostConfig:
    """How a container is tied to this machine: what an image never says."""

    mounts: HostMounts = field(default_factory=HostMounts)
    auto_remove: bool = False
    terminal: bool = False
    stdin_open: bool = False
    readonly_rootfs: bool = False
    security: Security = field(default_factory=Security)
    limits: Limits = field(default_factory=Limits)
    policies: Policies = field(default_factory=Policies)
    networking: Networking = field(default_factory=Networking)
    runtime: str = ""  # another program that it runs through: "runc", an absolute path


@record
class Container:
    """What a container was asked to be. Never changes; how it is doing stands in its state."""

    container_id: str  # 64 hex digits
    name: str
    created: float  # seconds since the epoch
    image_id: Digest
    image_name: str  # as the user wrote it
    platform: Platform
    diff_ids: tuple[Digest, ...]  # the image's layers, which the container's own lies on
    config: ContainerConfig  # the image's, with what `run` said put in
    host: HostConfig

    @property
    def args(self) -> tuple[str, ...]:
        """The command line: entrypoint, then cmd."""
        return (self.config.entrypoint or ()) + (self.config.cmd or ())

    @property
    def anonymous_volumes(self) -> tuple[str, ...]:
        """The names of the volumes that are this container's alone."""
        return self.host.mounts.anonymous_volumes

    @property
    def image_ids(self) -> frozenset[Digest]:
        """The images that it needs: its own, and those that it has mounted."""
        mounted = (mount.image_id for mount in self.host.mounts.images)
        return frozenset({self.image_id, *filter(None, mounted)})

    @property
    def network_mode(self) -> str:
        """The name of the network that it is on."""
        mode = self.host.networking.mode
        return "host" if mode == "default" else mode

    @property
    def short_id(self) -> str:
        """The 12 digits that people see."""
        return self.container_id[:12]

    @property
    def hostname(self) -> str:
        """The host name asked for, else the short id."""
        return self.host.networking.hostname or self.short_id


@record
class ContainerState:
    """How far a container has come, as last written down; times in seconds since the epoch."""

    pid: int = 0  # of its first process, as the machine counts; kept after its end
    pid_started: int = 0  # clock ticks after boot: tells the process from a later one of that pid
    boot_id: str = ""
    cgroup: tuple[str, ...] = ()  # its control group (ControlGroup.texts); (): it has none
    started_at: float = 0.0  # 0: never
    finished_at: float = 0.0  # 0: not yet
    exit_code: int = 0
    error: str = ""  # why it could not be started
    paused: bool = False
    restarting: bool = False  # it has ended, and its restart policy's delay runs
    restart_count: int = 0  # by the restart policy, since it was last started by hand
    oom_killed: bool = False  # the kernel killed a process of it for want of memory
    restart_delay_ms: int = 0  # that the restart policy waited last
    stopped_by_user: bool = False  # no restart policy starts it again

    @property
    def recorded_running(self) -> bool:
        """Whether nobody has written down its end. The process itself may be gone."""
        return self.started_at > 0 and self.finished_at == 0


@record
class ContainerReport:
    """A container and what is true of it now."""

    container: Container
    state: ContainerState
    status: Status
    ports: str = ""  # as `ps` shows them
    health: str = ""  # as builder.runtime.health says it; "": nobody has looked
    sizes: tuple[int, int] | None = None  # bytes: its own, with its image's; None: not measured

    @property
    def is_running(self) -> bool:
        """As Docker counts: paused, or about to be started again, it runs too."""
        return self.status in {"running", "paused", "restarting"}
