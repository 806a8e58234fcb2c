"""What a command line says of mounts, made whole: other containers' volumes, images by name."""

from __future__ import annotations

from builder.engine import Engine
from builder.runtime.bundle import RunOptions
from builder.runtime.containers import Containers
from builder.runtime.volumes import HostBind, HostMount, HostMounts, ImageMount, VolumeMount
from cache.record import replace


def with_whole_mounts(engine: Engine, containers: Containers, options: RunOptions) -> RunOptions:
    """`options` with what `--volumes-from` and image mounts name looked up.

    What the line mounts itself wins. UnknownContainerError; errors of a pull.
    """
    entries = options.host.mounts.entries
    if not options.volumes_from and not options.host.mounts.images:
        return options
    by_target: dict[str, HostMount] = {}
    for source in options.volumes_from:
        other = containers.load(containers.find(source.container))
        for mount in other.host.mounts.entries:
            if isinstance(mount, HostBind | VolumeMount):
                readonly = mount.readonly if source.readonly is None else source.readonly
                by_target[mount.target] = replace(mount, readonly=readonly)
    for mount in entries:
        whole = _with_image(engine, mount) if isinstance(mount, ImageMount) else mount
        by_target[mount.target] = whole
    mounts = HostMounts(tuple(by_target.values()))
    return replace(options, host=replace(options.host, mounts=mounts), volumes_from=())


def _with_image(engine: Engine, mount: ImageMount) -> ImageMount:
    image = engine.images.find(mount.image_name)
    if image is None:
        from builder.commands.pull import pull_missing  # noqa: PLC0415 - few runs pull

        image = pull_missing(engine, mount.image_name)
    return replace(mount, image_id=image.image_id, diff_ids=image.config.diff_ids)
