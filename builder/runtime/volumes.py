"""What a container has mounted besides its root filesystem, as data and as JSON.

Docker's words: a *bind* is a file or directory of this machine's, a *volume* is a directory that
the store keeps by name, a *tmpfs* lives in memory for as long as the container runs, an *image*
shows another image's files.
"""

from __future__ import annotations

from typing import Literal, assert_never, cast, get_args

from builder.image.jsonobject import JsonObject
from cache.digest import Digest, parse_digest
from cache.record import record

Propagation = Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"]
MountFlag = Literal["noexec", "nosuid", "nodev"]
Relabel = Literal["", "shared", "private"]

PROPAGATIONS: tuple[Propagation, ...] = get_args(Propagation)
MOUNT_FLAGS: tuple[MountFlag, ...] = get_args(MountFlag)


@record
class HostBind:
    """A file or directory of this machine's, seen at `target`."""

    source: str  # absolute, as it was written; links in it are followed when the container starts
    target: str  # absolute, in the container
    readonly: bool = False
    flags: tuple[MountFlag, ...] = ()
    propagation: Propagation = "rprivate"
    recursive: bool = True  # with what is mounted inside
    make_source: bool = False  # a missing one becomes a directory
    overlaid: bool = False  # writes go to the container's own layer and leave the source as it is
    chown: bool = False  # everything in it becomes the container's user's
    relabel: Relabel = ""  # for SELinux


@record
class VolumeMount:
    """A volume of the store, seen at `target`; the first user of an empty one fills it."""

    name: str  # "": it gets one of its own
    target: str
    readonly: bool = False
    flags: tuple[MountFlag, ...] = ()
    anonymous: bool = False  # made for this container, and goes with it where --rm or -v says so
    nocopy: bool = False  # it stays empty, whatever the image has in its place
    subpath: str = ""  # this directory of it alone
    overlaid: bool = False
    chown: bool = False
    relabel: Relabel = ""
    labels: tuple[tuple[str, str], ...] = ()  # of the volume, if it is made now


@record
class TmpfsMount:
    """Files in memory; gone when the container stops."""

    target: str
    readonly: bool = False
    flags: tuple[MountFlag, ...] = MOUNT_FLAGS
    options: tuple[str, ...] = ()  # tmpfs's own: "size=65536", "mode=1770", "uid=7"


@record
class ImageMount:
    """The files of an image; read-only, or with writes that go to the container's own layer."""

    image_name: str  # as the user wrote it
    target: str
    readonly: bool = True
    subpath: str = ""
    image_id: Digest | None = None  # None until it is looked up
    diff_ids: tuple[Digest, ...] = ()


HostMount = HostBind | VolumeMount | TmpfsMount | ImageMount


@record
class HostMounts:
    """All of a container's, those of directories before those inside them; a target has one."""

    entries: tuple[HostMount, ...] = ()

    @property
    def volumes(self) -> tuple[VolumeMount, ...]:
        """Those of the store's volumes."""
        return tuple(entry for entry in self.entries if isinstance(entry, VolumeMount))

    @property
    def anonymous_volumes(self) -> tuple[str, ...]:
        """The names of the volumes that were made for the container alone."""
        return tuple(volume.name for volume in self.volumes if volume.anonymous)

    @property
    def images(self) -> tuple[ImageMount, ...]:
        """The images that are mounted; the store keeps them as it keeps the container's own."""
        return tuple(entry for entry in self.entries if isinstance(entry, ImageMount))


@record
class VolumesFrom:
    """The binds and volumes of another container."""

    container: str  # as the user named it
    readonly: bool | None = None  # None: as they are there


def source_of(mount: HostMount) -> str:
    """What is mounted, in a word: a path, a volume's name, an image's; "" for a tmpfs."""
    match mount:
        case HostBind():
            return mount.source
        case VolumeMount():
            return mount.name
        case ImageMount():
            return mount.image_name
        case TmpfsMount():
            return ""


def mounts_dict(mounts: HostMounts) -> dict[str, object]:
    """As JSON; `mounts_of` reads it."""
    return {"entries": [_entry_dict(entry) for entry in mounts.entries]}


def mounts_of(document: JsonObject | None) -> HostMounts:
    """InvalidImageError for what `mounts_dict` never writes."""
    if document is None:
        return HostMounts()
    return HostMounts(tuple(_entry_of(entry) for entry in document.children("entries")))


def _entry_dict(entry: HostMount) -> dict[str, object]:
    common: dict[str, object] = {"target": entry.target, "readonly": entry.readonly}
    match entry:
        case HostBind():
            return common | {
                "kind": "bind",
                "source": entry.source,
                "flags": list(entry.flags),
                "propagation": entry.propagation,
                "recursive": entry.recursive,
                "make_source": entry.make_source,
                "overlaid": entry.overlaid,
                "chown": entry.chown,
                "relabel": entry.relabel,
            }
        case VolumeMount():
            return common | {
                "kind": "volume",
                "name": entry.name,
                "flags": list(entry.flags),
                "anonymous": entry.anonymous,
                "nocopy": entry.nocopy,
                "subpath": entry.subpath,
                "overlaid": entry.overlaid,
                "chown": entry.chown,
                "relabel": entry.relabel,
                "labels": dict(entry.labels),
            }
        case TmpfsMount():
            options = list(entry.options)
            return common | {"kind": "tmpfs", "flags": list(entry.flags), "options": options}
        case ImageMount():
            return common | {
                "kind": "image",
                "image_name": entry.image_name,
                "subpath": entry.subpath,
                "image_id": entry.image_id,
                "diff_ids": list(entry.diff_ids),
            }
        case _:
            assert_never(entry)


def _entry_of(document: JsonObject) -> HostMount:
    target = document.text("target", required=True)
    readonly = document.boolean("readonly")
    match document.text("kind"):
        case "bind":
            return HostBind(
                source=document.text("source", required=True),
                target=target,
                readonly=readonly,
                flags=_flags(document),
                propagation=_propagation(document),
                recursive=document.boolean("recursive"),
                make_source=document.boolean("make_source"),
                overlaid=document.boolean("overlaid"),
                chown=document.boolean("chown"),
                relabel=_relabel(document),
            )
        case "volume":
            return VolumeMount(
                name=document.text("name", required=True),
                target=target,
                readonly=readonly,
                flags=_flags(document),
                anonymous=document.boolean("anonymous"),
                nocopy=document.boolean("nocopy"),
                subpath=document.text("subpath"),
                overlaid=document.boolean("overlaid"),
                chown=document.boolean("chown"),
                relabel=_relabel(document),
                labels=document.pairs("labels"),
            )
        case "tmpfs":
            options = document.texts("options") or ()
            return TmpfsMount(target, readonly, _flags(document), options)
        case "image":
            return ImageMount(
                image_name=document.text("image_name"),
                target=target,
                readonly=readonly,
                subpath=document.text("subpath"),
                image_id=document.digest("image_id"),
                diff_ids=tuple(map(parse_digest, document.texts("diff_ids") or ())),
            )
        case _:
            raise document.error("kind", "is unknown")


def _flags(document: JsonObject) -> tuple[MountFlag, ...]:
    names = document.texts("flags") or ()
    if not set(names) <= set(MOUNT_FLAGS):
        raise document.error("flags", "has a flag that there isn't")
    return cast("tuple[MountFlag, ...]", names)


def _propagation(document: JsonObject) -> Propagation:
    text = document.text("propagation")
    if text not in PROPAGATIONS:
        raise document.error("propagation", "is unknown")
    return text


def _relabel(document: JsonObject) -> Relabel:
    match document.text("relabel"):
        case "" | "shared" | "private" as text:
            return text
        case _:
            raise document.error("relabel", "is unknown")
