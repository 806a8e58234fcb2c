"""Image and options to container, container to process. Pure; terms: OCI runtime-spec config.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builder.image.model import ContainerConfig, StoredImage
from builder.runtime.assigning import id_maps
from builder.runtime.container import Container, HostConfig
from builder.runtime.errors import InvalidOptionError
from builder.runtime.options import EnvEntry, clean_path
from builder.runtime.paths import ContainerPaths
from builder.runtime.policies import HealthOptions, healthcheck
from builder.runtime.security import capabilities, confinement
from builder.runtime.volumes import HostMount, HostMounts, VolumeMount, VolumesFrom
from builder.sandbox import lsm
from builder.sandbox.api import (
    BindEntry,
    Credentials,
    DeviceNode,
    JoinedNamespace,
    MountEntry,
    Network,
    ProcessSpec,
)
from cache.record import field, record, replace

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record
class RunOptions:
    """What the command line of `run` says besides the image."""

    args: tuple[str, ...] = ()
    name: str = ""  # "": one is made up
    env: tuple[EnvEntry, ...] = ()
    user: str | None = None
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None  # (): the image's is taken away
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""  # "": the image's
    health: HealthOptions = field(default_factory=HealthOptions)
    host: HostConfig = field(
        default_factory=HostConfig
    )  # a volume of name "" is one of the container's own
    volumes_from: tuple[VolumesFrom, ...] = ()


def new_container(
    image: StoredImage,
    image_name: str,
    options: RunOptions,
    *,
    container_id: str,
    created: float,
    new_volume_name: Callable[[], str],
) -> Container:
    """The container that `options` ask for; InvalidOptionError where they contradict themselves."""
    config = container_config(image.config.config, options)
    container = Container(
        container_id=container_id,
        name=options.name,
        created=created,
        image_id=image.image_id,
        image_name=image_name,
        platform=image.config.platform,
        diff_ids=image.config.diff_ids,
        config=config,
        host=replace(
            options.host,
            mounts=_mounts(options.host.mounts, config.volumes, new_volume_name),
        ),
    )
    if not container.args:
        raise InvalidOptionError(
            f"no command: the image {image_name} has none of its own",
            hint=f"write it after the image: pybuild run {image_name} /bin/sh",
        )
    return container


def container_config(image: ContainerConfig, options: RunOptions) -> ContainerConfig:
    """The image's config with what the command line says put in.

    An entrypoint takes away the image's cmd, which was made for the image's own entrypoint.
    """
    entrypoint, cmd = image.entrypoint, image.cmd
    if options.entrypoint is not None:
        entrypoint, cmd = options.entrypoint or None, None
    working_dir = options.working_dir or image.working_dir or "/"
    if not working_dir.startswith("/"):
        raise InvalidOptionError(f'the working directory "{working_dir}" is not an absolute path')
    return replace(
        image,
        entrypoint=entrypoint,
        cmd=options.args or cmd,
        user=image.user if options.user is None else options.user,
        working_dir=clean_path(working_dir),
        env=merged_env(image.env, options.env),
        labels=tuple(sorted({**dict(image.labels), **dict(options.labels)}.items())),
        stop_signal=options.stop_signal or image.stop_signal,
        healthcheck=healthcheck(image.healthcheck, options.health),
    )


def merged_env(
    base: Iterable[tuple[str, str]], changes: Iterable[EnvEntry]
) -> tuple[tuple[str, str], ...]:
    """`base` with `changes`: a changed variable keeps its place, a new one comes last."""
    env: dict[str, str] = dict(base)
    for name, value in changes:
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return tuple(env.items())


def _mounts(
    asked: HostMounts, of_image: Iterable[str], new_volume_name: Callable[[], str]
) -> HostMounts:
    """All mounts, those of directories before those inside them."""
    by_target: dict[str, HostMount] = {mount.target: mount for mount in asked.entries}
    for path in of_image:
        target = clean_path(path)
        by_target.setdefault(target, VolumeMount(name="", target=target, anonymous=True))
    named = (
        replace(mount, name=new_volume_name())
        if isinstance(mount, VolumeMount) and not mount.name
        else mount
        for mount in by_target.values()
    )
    return HostMounts(
        tuple(sorted(named, key=lambda mount: (mount.target.count("/"), mount.target)))
    )


def process_env(container: Container, *, home: str) -> tuple[str, ...]:
    """The environment; later entries win: defaults, the image's, `-e`; HOME where none set it."""
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": container.hostname}
    if container.host.terminal:
        env["TERM"] = "xterm"
    env.update(container.config.env)
    env.setdefault("HOME", home)
    return tuple(f"{name}={value}" for name, value in env.items())


def process_spec(
    container: Container,
    paths: ContainerPaths,
    *,
    credentials: Credentials,
    home: str,
    every_capability: tuple[str, ...],
    host_files: tuple[tuple[str, str], ...],
    mounts: tuple[MountEntry, ...],
    terminal_size: tuple[int, int],
    cgroup_files: tuple[str, ...] = (),
    joined: tuple[JoinedNamespace, ...] = (),
    devices: tuple[DeviceNode, ...] = (),
    devices_ruled: bool = False,
) -> ProcessSpec:
    """How the container's first process runs, once its root filesystem is mounted.

    `host_files` are (path in the container, path here), `every_capability` those there are,
    `mounts` what the container has mounted.
    """
    host, security = container.host, container.host.security
    return ProcessSpec(
        rootfs_dir=paths.rootfs,
        args=container.args,
        env=process_env(container, home=home),
        cwd=container.config.working_dir or "/",
        credentials=credentials,
        mounts=mount_entries(host_files, mounts),
        hostname=container.hostname,
        network=sandbox_network(host),
        capabilities=capabilities(security, every_capability),
        no_new_privileges=security.no_new_privileges,
        seccomp="unconfined" if security.privileged else security.seccomp,
        privileged=security.privileged,
        confinement=confinement(
            security,
            own_network=sandbox_network(host) != "host",
            checked_profile=lsm.checked_profile,
            process_label=lsm.process_label,
        ),
        id_maps=id_maps(host),
        readonly_rootfs=host.readonly_rootfs,
        terminal=host.terminal,
        terminal_size=terminal_size,
        shm_size_bytes=0 if security.ipc == "none" else host.limits.shm_size_bytes,
        rlimits=host.limits.rlimits,
        oom_score_adj=host.limits.oom_score_adj,
        init=host.policies.init,
        cgroup_files=cgroup_files,
        joined=joined,
        devices=devices,
        devices_ruled=devices_ruled,
    )


def sandbox_network(host: HostConfig) -> Network:
    """The network as the sandbox knows it."""
    match host.networking.mode:
        case "host" | "none" as mode:
            return mode
        case _:
            return "private"


def mount_entries(
    host_files: tuple[tuple[str, str], ...], mounts: tuple[MountEntry, ...]
) -> tuple[MountEntry, ...]:
    """The files of /etc, then the mounts, which win where they are over the same path."""
    taken = {mount.target for mount in mounts}
    files = (BindEntry(source, target) for target, source in host_files if target not in taken)
    return (*files, *mounts)
