"""From a ProcessSpec to what the sandbox server reads: names become numbers, paths descriptors."""

from __future__ import annotations

import os
import resource
from typing import Self

from builder.errors import UsageError
from builder.kernel import capabilities, mount, namespaces
from builder.kernel.mount import clone_visible
from builder.sandbox.api import (
    BindEntry,
    Hooks,
    MountEntry,
    MountFlag,
    OverlayEntry,
    ProcessSpec,
    Propagation,
    Stdio,
    TmpfsEntry,
)
from builder.sandbox.child.confinement import Confinement
from builder.sandbox.child.request import BindMount, Mount, OverlayMount, Request, TmpfsMount
from builder.sandbox.confinement import UNCONFINED, Namespace, masked_paths

_OWN_FD = "/proc/self/fd/"
_FLAGS: dict[Namespace, int] = {
    "ipc": namespaces.CLONE_NEWIPC,
    "pid": namespaces.CLONE_NEWPID,
    "uts": namespaces.CLONE_NEWUTS,
    "cgroup": namespaces.CLONE_NEWCGROUP,
}
_ATTRIBUTES: dict[MountFlag, int] = {
    "noexec": mount.ATTR_NOEXEC,
    "nosuid": mount.ATTR_NOSUID,
    "nodev": mount.ATTR_NODEV,
}
_PROPAGATIONS: dict[Propagation, int] = {
    "private": mount.MS_PRIVATE,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "shared": mount.MS_SHARED,
    "rshared": mount.MS_SHARED | mount.MS_REC,
    "slave": mount.MS_SLAVE,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
}


class Descriptors:
    """The descriptors that travel with one request; a place in the list stands for each.

    A `with` block, at whose end those that were made here are closed.
    """

    def __init__(self) -> None:
        self.fds: list[int] = []
        self._own: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._own:
            os.close(fd)

    def add_mount(self, fd: int, *, recursive: bool) -> int:
        """The place of a new mount of what `fd` names.

        It is cloned here: the kernel clones only what is mounted in the caller's own namespace.
        """
        self._own.append(clone_visible(fd, recursive=recursive))
        return self.add(self._own[-1])

    def add_shared_mount(self, source: str, *, recursive: bool) -> int:
        """The place of a mount of `source` that is a peer of the caller's own."""
        from builder.sandbox.propagation import clone_shared  # noqa: PLC0415 - asked for rarely

        self._own.append(clone_shared(source, recursive=recursive))
        return self.add(self._own[-1])

    def add(self, fd: int | None) -> int:
        """The place of `fd` (the caller's, and stays so); -1 for none."""
        if fd is None:
            return -1
        self.fds.append(fd)
        return len(self.fds) - 1


def request_of(
    spec: ProcessSpec,
    stdio: Stdio,
    descriptors: Descriptors,
    *,
    env: tuple[str, ...],
    seccomp_fd: int | None,
    cgroup_fds: tuple[int, ...],
    joined_fds: tuple[tuple[str, int], ...],
    hooks: Hooks,
    rootless: bool,
) -> Request:
    """The request; its descriptors are added to `descriptors`. UsageError for an unknown name."""
    return Request(
        rootfs_dir=spec.rootfs_dir,
        args=spec.args,
        env=env,
        cwd=spec.cwd,
        uid=spec.credentials.uid,
        gid=spec.credentials.gid,
        groups=spec.credentials.groups,
        mounts=tuple(_mount_of(entry, descriptors) for entry in spec.mounts),
        hostname=spec.hostname,
        new_network=spec.network != "host" and not any(kind == "net" for kind, _ in joined_fds),
        confinement=_confinement_of(spec),
        capabilities=capability_mask(bounding_names(spec)),
        no_new_privileges=spec.no_new_privileges,
        privileged=spec.privileged,
        readonly_rootfs=spec.readonly_rootfs,
        rootless=rootless or spec.id_maps is not None,
        new_user=spec.id_maps is not None,
        terminal=spec.terminal,
        terminal_size=spec.terminal_size,
        shm_size_bytes=spec.shm_size_bytes,
        oom_score_adj=spec.oom_score_adj,
        init=spec.init,
        devices=tuple((node.path, node.source) for node in spec.devices),
        devices_usable=spec.privileged or spec.devices_ruled,
        rlimits=tuple((_limit_number(name), soft, hard) for name, soft, hard in spec.rlimits),
        stdio_fds=(
            descriptors.add(stdio.stdin),
            descriptors.add(stdio.stdout),
            descriptors.add(stdio.stderr),
        ),
        seccomp_fd=descriptors.add(seccomp_fd),
        cgroup_fds=tuple(map(descriptors.add, cgroup_fds)),
        joined_fds=tuple((kind, descriptors.add(fd)) for kind, fd in joined_fds),
        waits_on_clone=hooks.on_clone is not None,
        waits_before_execute=hooks.before_execute is not None,
    )


def _confinement_of(spec: ProcessSpec) -> Confinement:
    limits = UNCONFINED if spec.privileged else spec.confinement
    return Confinement(
        masked=masked_paths() if limits.masked is None else limits.masked,
        readonly=limits.readonly,
        sysctls=spec.confinement.sysctls,
        apparmor=spec.confinement.apparmor,
        selinux=spec.confinement.selinux,
        namespaces=_own_namespaces(spec),
    )


def _own_namespaces(spec: ProcessSpec) -> int:
    """CLONE_NEW* of those that the process gets; the cgroup namespace is made apart from them."""
    others = spec.confinement.of_host | {each.kind for each in spec.joined}
    return sum(flag for kind, flag in _FLAGS.items() if kind not in others)


def bounding_names(spec: ProcessSpec) -> tuple[str, ...]:
    """The capabilities that the process and all that it starts can ever have."""
    return capabilities.NAMES if spec.privileged else spec.capabilities


def capability_mask(names: tuple[str, ...]) -> int:
    """Bit n for capability n. UsageError for a name that is none."""
    for name in names:
        if name not in capabilities.NAMES:
            raise UsageError(
                f'"{name}" is no capability', hint="names look like CAP_NET_ADMIN: capabilities(7)"
            )
    return capabilities.mask_of(names)


def _mount_of(entry: MountEntry, descriptors: Descriptors) -> Mount:
    match entry:
        case BindEntry():
            number = entry.source.removeprefix(_OWN_FD)
            by_fd = entry.source.startswith(_OWN_FD) and number.isdigit()
            source_fd = -1
            if entry.propagation.endswith("shared"):
                by_fd = True
                source_fd = descriptors.add_shared_mount(entry.source, recursive=entry.recursive)
            elif by_fd:
                source_fd = descriptors.add_mount(int(number), recursive=entry.recursive)
            return BindMount(
                source="" if by_fd else entry.source,
                source_fd=source_fd,
                target=entry.target,
                attributes=_attributes(entry),
                recursive=entry.recursive,
                propagation=_PROPAGATIONS[entry.propagation],
            )
        case TmpfsEntry():
            return _tmpfs_of(entry)
        case OverlayEntry():
            return OverlayMount(
                lowerdir=entry.lowerdir,
                upperdir=entry.upperdir,
                workdir=entry.workdir,
                target=entry.target,
            )


def _tmpfs_of(entry: TmpfsEntry) -> TmpfsMount:
    options = {"mode": f"{entry.mode:o}"}
    if entry.size_bytes:
        options["size"] = str(entry.size_bytes)
    for option in entry.options:
        name, _, value = option.partition("=")
        options[name] = value
    return TmpfsMount(
        target=entry.target,
        options=tuple(f"{name}={value}" for name, value in options.items()),
        attributes=_attributes(entry),
    )


def _attributes(entry: BindEntry | TmpfsEntry) -> int:
    attributes = mount.ATTR_RDONLY if entry.readonly else 0
    for name in entry.flags:
        attributes |= _ATTRIBUTES[name]
    return attributes


def _limit_number(name: str) -> int:
    number = getattr(resource, f"RLIMIT_{name.upper()}", None)
    if not isinstance(number, int):
        raise UsageError(
            f'"{name}" is no resource limit', hint="nofile, nproc, core, ...: getrlimit(2)"
        )
    return number


def has_home(env: tuple[str, ...]) -> bool:
    """Whether HOME is set to something, so that it needs no look at the image's passwd."""
    return any(entry.startswith("HOME=") and entry != "HOME=" for entry in env)
