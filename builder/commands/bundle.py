"""Write an image as a bundle, which runc, crun and other OCI runtimes run."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Literal

from builder.kernel.capabilities import NAMES
from builder.runtime.bundle import RunOptions, new_container, process_spec, sandbox_network
from builder.runtime.ociruntime import bundledir
from builder.runtime.ociruntime.annotations import image_annotations
from builder.runtime.ociruntime.bundlemounts import bundle_mounts, own_volumes
from builder.runtime.ociruntime.devices import host_devices
from builder.runtime.ociruntime.place import Place
from builder.runtime.ociruntime.spec import spec_document
from builder.runtime.paths import ContainerPaths
from builder.sandbox.accounts import lookup_user
from builder.sandbox.hostfiles import write_host_files
from builder.sandbox.rootfs import mounted
from builder.sandbox.subids import IdRange, parsed_map
from cache.descriptor import chain_id
from cache.record import record, replace

if TYPE_CHECKING:
    from builder.engine import Engine
    from builder.image.model import StoredImage
    from builder.runtime.container import Container
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
    options = request.options
    host = options.host
    host = replace(
        host,
        network="none" if host.network == "default" else host.network,
        hostname=host.hostname or _hostname(options),
    )
    numbers = count()
    return new_container(
        image,
        request.image,
        replace(options, host=host),
        container_id="",
        created=0.0,
        new_volume_name=lambda: str(next(numbers)),
    )


def _hostname(options: RunOptions) -> str:
    of_host = "host" in {options.host.network, options.host.security.uts}
    return os.uname().nodename if of_host else _HOSTNAME


def _spec(container: Container, bundle_dir: str, mounts: tuple[MountEntry, ...]) -> ProcessSpec:
    host = container.host
    written = write_host_files(
        bundle_dir,
        hostname=container.hostname,
        network=sandbox_network(host),
        extra_hosts=host.extra_hosts,
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
    )


def _place(engine: Engine, container: Container, spec: ProcessSpec) -> Place:
    """This machine; for an ordinary user with the ids that are root's here."""
    uname = os.uname()
    rootless = engine.settings.rootless
    return Place(
        machine=uname.machine,
        release=uname.release,
        rootless=rootless,
        uid_ranges=_own_map("uid") if rootless else (),
        gid_ranges=_own_map("gid") if rootless else (),
        devices=host_devices() if spec.privileged and not rootless else (),
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
