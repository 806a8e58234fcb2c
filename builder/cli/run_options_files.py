"""Options of `run` and `create` about files from outside the image: volumes, binds, tmpfs."""

from __future__ import annotations

import os

from builder.cli.run_words import Line, Option, repeated, switch
from builder.runtime.volumes import HostMount, HostMounts, VolumesFrom

OPTIONS: tuple[Option, ...] = (
    repeated(
        *("-v", "--volume"),
        metavar="SRC:DST[:FLAGS]",
        text="A path of this machine, or a volume by name, at DST; DST alone: a new volume.",
    ),
    repeated(
        "--mount",
        metavar="KEY=VALUE,...",
        text="type=bind, volume, tmpfs or image; source, target, readonly, ...",
    ),
    repeated(
        "--tmpfs", metavar="DST[:OPTIONS]", text="Files in memory: size=64m, mode=1777, exec."
    ),
    repeated("--volumes-from", metavar="CTR[:ro]", text="The volumes and binds of a container."),
    switch("--read-only-tmpfs", text="With --read-only: a tmpfs at /tmp, /run and /var/tmp."),
)

_TMPFS_OF_READONLY = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - in the container


def mounts_of(line: Line) -> HostMounts:
    """What the line asks to have mounted; InvalidOptionError, UnsupportedError."""
    asked = _mounts(line)
    if {"read-only", "read-only-tmpfs"} <= line.switches:
        from builder.runtime.volumes import TmpfsMount

        taken = {mount.target for mount in asked}
        asked += [TmpfsMount(path) for path in _TMPFS_OF_READONLY if path not in taken]
    return HostMounts(tuple(asked))


def _mounts(line: Line) -> list[HostMount]:
    volumes, mounts, tmpfs = (line.lists.get(name, ()) for name in ("volume", "mount", "tmpfs"))
    if not (volumes or mounts or tmpfs):  # most containers: nothing more to import
        return []
    from builder.runtime import volumes_options
    from builder.runtime.volumes_mount_option import parse_mount

    here = os.getcwd()
    asked: list[HostMount] = [
        volumes_options.parse_volume(text, working_dir=here) for text in volumes
    ]
    asked += [parse_mount(text, working_dir=here) for text in mounts]
    asked += map(volumes_options.parse_tmpfs, tmpfs)
    return volumes_options.distinct(asked)


def volumes_from_of(line: Line) -> tuple[VolumesFrom, ...]:
    """The containers whose volumes it gets."""
    texts = line.lists.get("volumes-from", ())
    if not texts:
        return ()
    from builder.runtime.volumes_options import parse_volumes_from

    return tuple(map(parse_volumes_from, texts))
