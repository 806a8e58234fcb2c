"""`-v`, `--tmpfs` and `--volumes-from`: text to records. Pure; Docker's words and podman's."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.errors import UnsupportedError
from builder.runtime.errors import InvalidOptionError
from builder.runtime.options import clean_path
from builder.runtime.volumes import (
    MOUNT_FLAGS,
    PROPAGATIONS,
    HostBind,
    HostMount,
    MountFlag,
    Propagation,
    Relabel,
    TmpfsMount,
    VolumeMount,
    VolumesFrom,
)
from builder.runtime.volumes_names import checked_volume_name, looks_like_name
from cache.record import record

DEVICE_HINT = "a device of this machine is given with --device"

_OPPOSITES: dict[str, MountFlag] = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
_TMPFS_SIZES = {"size", "nr_blocks", "nr_inodes"}
_SIZE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_GROUPS = (
    ("ro", "rw"),
    ("z", "Z"),
    PROPAGATIONS,
    ("copy", "nocopy"),
    ("rbind", "bind"),
    ("consistent", "cached", "delegated"),  # how Docker's desktop shares files; nothing here
    ("exec", "noexec"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("O",),
    ("U",),
)
"""What may stand behind the second colon of -v: one of each."""
_HINTS = {
    "idmap": "U gives the files to the container's user instead",
    "upperdir": "O alone keeps the changes with the container",
    "workdir": "O alone keeps the changes with the container",
}


@record
class _Flags:
    """What stood behind the second colon of -v."""

    words: frozenset[str]

    @property
    def readonly(self) -> bool:
        return "ro" in self.words

    @property
    def propagation(self) -> Propagation | None:
        return next((name for name in PROPAGATIONS if name in self.words), None)

    @property
    def mount_flags(self) -> tuple[MountFlag, ...]:
        return tuple(name for name in MOUNT_FLAGS if name in self.words)

    @property
    def relabel(self) -> Relabel:
        if "Z" in self.words:
            return "private"
        return "shared" if "z" in self.words else ""


def parse_volume(text: str, *, working_dir: str) -> HostBind | VolumeMount:
    """`SRC:DST[:FLAGS]`; `DST` alone is a new volume of the container's own (its name is "").

    SRC is a path (below `working_dir` where it begins with ".") or the name of a volume.
    """
    source, target_text, flags = _volume_parts(text)
    option = f'--volume "{text}"'
    target = checked_target(target_text, option)
    read = _flags_of(flags, option)
    if source is not None and not looks_like_name(source):
        return _bind(source, target, read, option, working_dir)
    if read.propagation is not None or "bind" in read.words:
        raise InvalidOptionError(
            f"{option}: how mounts spread is a matter of directories of this machine"
        )
    name = "" if source is None else checked_volume_name(source, option=option)
    return VolumeMount(
        name=name,
        target=target,
        readonly=read.readonly,
        flags=read.mount_flags,
        anonymous=not name,
        nocopy="nocopy" in read.words,
        overlaid="O" in read.words,
        chown="U" in read.words,
        relabel=read.relabel,
    )


def _bind(source: str, target: str, flags: _Flags, option: str, working_dir: str) -> HostBind:
    if source.startswith("."):
        source = os.path.join(working_dir, source)
    elif source == "~" or source.startswith("~/"):
        raise InvalidOptionError(
            f'{option}: the shell replaces "~" only where a word begins with it',
            hint='write "$HOME" instead',
        )
    elif not source.startswith("/"):
        checked_volume_name(source, option=option)
    if flags.words & {"copy", "nocopy"}:
        raise InvalidOptionError(f"{option}: copy and nocopy are for volumes, {source} is a path")
    if "O" in flags.words and flags.readonly:
        raise InvalidOptionError(f"{option}: O is for changes, and ro forbids them")
    return HostBind(
        source=clean_path(source),
        target=target,
        readonly=flags.readonly,
        flags=flags.mount_flags,
        propagation=flags.propagation or "rprivate",
        recursive="bind" not in flags.words,
        make_source=True,
        overlaid="O" in flags.words,
        chown="U" in flags.words,
        relabel=flags.relabel,
    )


def checked_target(text: str, option: str) -> str:
    """The path in the container, cleaned; InvalidOptionError where nothing can be mounted there."""
    if not text.startswith("/"):
        raise InvalidOptionError(f"{option}: the path in the container is not absolute")
    target = clean_path(text)
    if target == "/" or "\0" in target:
        raise InvalidOptionError(f"{option}: nothing can be mounted over the root")
    return target


def _volume_parts(text: str) -> tuple[str | None, str, tuple[str, ...]]:
    match text.split(":"):
        case [target] if target:
            return None, target, ()
        case [source, target] if source and target.startswith("/"):
            return source, target, ()
        case [target, flags] if target.startswith("/") and flags:  # its own, with flags
            return None, target, tuple(flags.split(","))
        case [source, target, flags] if source and target and flags:
            return source, target, tuple(flags.split(","))
        case _:
            raise InvalidOptionError(
                f'--volume "{text}" is not SOURCE:TARGET[:ro], nor TARGET alone'
            )


def _flags_of(words: Iterable[str], option: str) -> _Flags:
    found: dict[int, str] = {}
    known: set[str] = set()
    for word in words:
        place = next((at for at, group in enumerate(_GROUPS) if word in group), None)
        if place is None:
            name = word.partition("=")[0]
            raise UnsupportedError(f'{option}: "{word}" is not supported', hint=_HINTS.get(name))
        if found.setdefault(place, word) != word:
            raise InvalidOptionError(f"{option} is both {found[place]} and {word}")
        known.add(word)
    if "dev" in known:
        raise UnsupportedError(f'{option}: "dev" is not supported', hint=DEVICE_HINT)
    return _Flags(frozenset(known))


def parse_tmpfs(text: str) -> TmpfsMount:
    """`PATH[:OPTIONS]`; by default nothing in it is executed and no set-user-id bit counts."""
    path, _, options = text.partition(":")
    option = f'--tmpfs "{text}"'
    return tmpfs_of(checked_target(path, option), options.split(",") if options else (), option)


def tmpfs_of(target: str, words: Iterable[str], option: str) -> TmpfsMount:
    """A tmpfs with mount(8)'s options, the later of two that contradict each other counting."""
    readonly = False
    without: set[str] = set()
    sizes: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if word in {"ro", "rw"}:
            readonly = word == "ro"
        elif word in MOUNT_FLAGS:
            without.discard(word)
        elif word == "dev":
            raise UnsupportedError(f'{option}: "dev" is not supported', hint=DEVICE_HINT)
        elif word in _OPPOSITES:
            without.add(_OPPOSITES[word])
        elif equals:
            sizes[name] = _tmpfs_value(name, value, option)
        elif word not in {"defaults", "relatime", "notmpcopyup"}:
            raise UnsupportedError(f'{option}: "{word}" is not supported')
    flags: tuple[MountFlag, ...] = tuple(flag for flag in MOUNT_FLAGS if flag not in without)
    return TmpfsMount(target, readonly, flags, tuple(f"{n}={v}" for n, v in sizes.items()))


def _tmpfs_value(name: str, value: str, option: str) -> str:
    if name == "mode":
        return tmpfs_mode(value, option)
    if name in {"uid", "gid"}:
        if not (value.isascii() and value.isdecimal()) or int(value) >= 1 << 31:
            raise InvalidOptionError(f'{option}: {name} "{value[:40]}" is not a number')
        return str(int(value))
    if name in _TMPFS_SIZES:
        return tmpfs_size(value, option)
    raise UnsupportedError(f'{option}: "{name}" is not supported')


def tmpfs_mode(text: str, option: str) -> str:
    """An octal mode as the kernel takes it."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777 or not text.isalnum():
        raise InvalidOptionError(f'{option}: "{text[:40]}" is not an octal mode such as 1777')
    return f"{mode:o}"


def tmpfs_size(text: str, option: str) -> str:
    """Bytes, or a share of the memory ("50%") as it is."""
    number = text.removesuffix("%")
    if number != text and number.isascii() and number.isdecimal():
        return f"{int(number)}%"
    lowered = text.lower().removesuffix("b")
    unit = _SIZE_UNITS.get(lowered[-1:], 1)
    number = lowered[:-1] if unit > 1 else lowered
    if not (number.isascii() and number.isdecimal()) or int(number) * unit >= 1 << 63:
        raise InvalidOptionError(
            f'{option}: "{text[:40]}" is not a size', hint="a size is a number and k, m or g: 64m"
        )
    return str(int(number) * unit)


def parse_volumes_from(text: str) -> VolumesFrom:
    """`CONTAINER[:ro|rw]`."""
    container, colon, mode = text.partition(":")
    modes: dict[str, bool | None] = {"": None, "ro": True, "rw": None, "z": None}
    if not container or mode not in modes or (colon and not mode):
        raise InvalidOptionError(f'--volumes-from "{text}" is not CONTAINER[:ro|rw]')
    return VolumesFrom(container, modes[mode])


def distinct(mounts: Iterable[HostMount]) -> list[HostMount]:
    """Those of a command line; InvalidOptionError where two have one target."""
    by_target: dict[str, HostMount] = {}
    for mount in mounts:
        if mount.target in by_target:
            raise InvalidOptionError(f"two things are mounted at {mount.target}")
        by_target[mount.target] = mount
    return list(by_target.values())
