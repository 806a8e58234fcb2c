"""Write an image as a bundle, which runc, crun and other OCI runtimes run."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Literal

from builder.errors import UnsupportedError
from builder.kernel.capabilities import NAMES
from builder.runtime.bundle import RunOptions, new_container, process_spec, sandbox_network
from builder.runtime.devices import device_nodes, device_rules
from builder.runtime.networkmode import host_name
from builder.runtime.ociruntime import bundledir
from builder.runtime.ociruntime.annotations import image_annotations
from builder.runtime.ociruntime.bundlemounts import bundle_mounts, own_volumes
from builder.runtime.ociruntime.devices import host_devices, named_devices
from builder.runtime.ociruntime.place import Place
from builder.runtime.ociruntime.spec import spec_document
from builder.runtime.paths import ContainerPaths
from builder.sandbox.accounts import lookup_user
from builder.sandbox.hostfiles import Resolver, write_host_files
from builder.sandbox.rootfs import mounted
from builder.sandbox.subids import IdRange, parsed_map
from cache.descriptor import chain_id
from cache.record import record, replace

if TYPE_CHECKING:
    from builder.engine import Engine
    from builder.image.model import StoredImage
    from builder.runtime.container import Container, HostConfig
    from builder.runtime.networking import Networking
    from builder.runtime.security import Security
    from builder.sandbox.api import MountEntry, ProcessSpec

_HOSTNAME = "container"
"""Of a container that has no id yet."""


@record
class BundleRequest:
    """All that a bundle is asked for."""

    image: str
    dest: str
    options: RunOptions


def write_bundle(engine: Engine, request: BundleRequest) -> None:
    """Write the bundle; BundleError where `dest` is taken. What goes wrong leaves nothing."""
    image = _image(engine, request.image)
    container = _container(image, request)
    mounts = bundle_mounts(container.host.mounts)  # before the work: one may be refused
    with (
        engine.leases.hold() as lease,
        bundledir.new_bundle(request.dest) as bundle_dir,
    ):
        chain = chain_id(container.diff_ids)
        lease.add("chain", chain)
        with _view(engine, image) as rootfs_dir:
            bundledir.fill_rootfs(bundle_dir, rootfs_dir, userxattr=engine.settings.rootless)
        bundledir.fill_volumes(bundle_dir, own_volumes(container.host.mounts))
        spec = _spec(container, bundle_dir, mounts)
        annotations = image_annotations(image.config, container.config)
        place = _place(engine, container, spec)
        document = spec_document(spec, place, annotations=annotations)
        bundledir.write_config(bundle_dir, document)


def _container(image: StoredImage, request: BundleRequest) -> Container:
    """The container that the options ask for; its network is its own unless it is the host's."""
    _refuse_what_needs_others(request.options.host.security)
    numbers = count()
    host = replace(request.options.host, networking=_networking(request.options.host))
    return new_container(
        image,
        request.image,
        replace(request.options, host=host),
        container_id="",
        created=0.0,
        new_volume_name=lambda: str(next(numbers)),
    )


def _refuse_what_needs_others(security: Security) -> None:
    """What a bundle cannot say: another container's namespace, ids that its files don't have."""
    for option in ("ipc", "pid", "uts", "cgroupns", "userns"):
        mode: str = getattr(security, option)
        if mode.startswith("container:") or (option == "userns" and mode not in {"", "host"}):
            raise UnsupportedError(
                f"bundle: --{option} {mode} is not supported", hint="host is, and nothing said"
            )


def _networking(host: HostConfig) -> Networking:
    networking = host.networking
    mode = "none" if networking.mode == "default" else networking.mode
    if mode not in {"none", "host"}:
        raise UnsupportedError(
            f"bundle: --network {mode} is not supported",
            hint="host and none are; whoever runs the bundle may connect its namespace",
        )
    of_host = "host" in {mode, host.security.uts}
    hostname = networking.hostname or (host_name() if of_host else _HOSTNAME)
    return replace(networking, mode=mode, hostname=hostname)


def _spec(container: Container, bundle_dir: str, mounts: tuple[MountEntry, ...]) -> ProcessSpec:
    host, networking = container.host, container.host.networking
    written = write_host_files(
        bundle_dir,
        hostname=container.hostname,
        network=sandbox_network(host),
        extra_hosts=networking.extra_hosts,
        domainname=networking.domainname,
        resolver=Resolver(
            nameservers=networking.dns,
            search=networking.dns_search,
            options=networking.dns_options,
        ),
    )
    root_fd = os.open(os.path.join(bundle_dir, "rootfs"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        account = lookup_user(root_fd, container.config.user, more_groups=host.security.groups)
    finally:
        os.close(root_fd)
    return process_spec(
        container,
        ContainerPaths(bundle_dir),
        credentials=account.credentials,
        home=account.home,
        every_capability=NAMES,
        host_files=tuple((target, os.path.basename(path)) for target, path in written),
        mounts=mounts,
        terminal_size=(0, 0),
        devices=device_nodes(host.limits.devices),
    )


def _place(engine: Engine, container: Container, spec: ProcessSpec) -> Place:
    """This machine; for an ordinary user with the ids that are root's here."""
    uname = os.uname()
    rootless = engine.settings.rootless
    others = host_devices() if spec.privileged else ()
    return Place(
        machine=uname.machine,
        release=uname.release,
        rootless=rootless,
        uid_ranges=_own_map("uid") if rootless else (),
        gid_ranges=_own_map("gid") if rootless else (),
        devices=() if rootless else (*named_devices(spec.devices), *others),
        device_rules=device_rules(container.host.limits),
        limits=container.host.limits.group,
        cgroup_path=container.host.limits.cgroup_parent,
    )


def _own_map(kind: Literal["uid", "gid"]) -> tuple[IdRange, ...]:
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        return parsed_map(file.read())


@contextmanager
def _view(engine: Engine, image: StoredImage) -> Generator[str, None, None]:
    at = engine.state.scratch("bundle")
    try:
        view = engine.snapshots.view(chain_id(image.config.diff_ids))
        with mounted(view, at, volatile=False):
            yield at
    finally:
        os.rmdir(at)


def _image(engine: Engine, text: str) -> StoredImage:
    image = engine.images.find(text)
    if image is None:
        from builder.commands.pull import pull_missing  # noqa: PLC0415 - few bundles pull

        image = pull_missing(engine, text)
    return image
