"""Make, list, show and remove volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from builder.engine import Engine
from builder.errors import UnsupportedError, UsageError
from builder.runtime.errors import InvalidOptionError
from builder.runtime.options import clean_path, parse_pairs
from builder.runtime.volumes_store import Volume, Volumes
from cache.record import record
from cache.treesize import tree_bytes

FILTERS = ("dangling", "driver", "label", "name")

_Test = Callable[["ListedVolume"], bool]


@record
class ListedVolume:
    """A volume, where its files are, and whether a container has it mounted."""

    volume: Volume
    data_dir: str
    in_use: bool


@record
class Pruned:
    """What `volume prune` removed."""

    names: tuple[str, ...]
    freed_bytes: int


def volumes_of(engine: Engine) -> Volumes:
    """The volumes of the engine's store."""
    return Volumes(engine.state, engine.database, engine.now)


def create_volume(
    engine: Engine, name: str, *, labels: Iterable[str], driver: str, options: Iterable[str]
) -> str:
    """The name of the volume, which is made if there is none."""
    if driver != "local":
        raise UnsupportedError(
            f'the volume driver "{driver[:60]}" is not supported', hint="there is local"
        )
    volume = volumes_of(engine).create(
        name,
        labels=parse_pairs(labels, option="--label"),
        options=driver_options(parse_pairs(options, option="--opt")),
    )
    return volume.name


def driver_options(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Docker's `type=none,o=bind,device=DIR`, which names a directory; others are refused."""
    if not pairs:
        return ()
    found = dict(pairs)
    for name, value in found.items():
        supported = {"type": {"none", "bind"}, "o": {"bind", "rbind"}}.get(name, {value})
        if name not in {"type", "o", "device"} or value not in supported:
            raise UnsupportedError(
                f"--opt {name}={value[:60]} is not supported",
                hint="type=none, o=bind and device=DIRECTORY are",
            )
    device = found.get("device", "")
    if not device.startswith("/") or "o" not in found:
        raise InvalidOptionError(
            "--opt type=none needs o=bind and device=DIRECTORY, an absolute path"
        )
    if not os.path.isdir(device):
        raise InvalidOptionError(f"--opt device={device}: there is no such directory")
    return tuple(sorted((found | {"device": clean_path(device)}).items()))


def list_volumes(engine: Engine, filters: Iterable[str] = ()) -> tuple[ListedVolume, ...]:
    """By name; those that all filters ("label=x", "dangling=true") mean."""
    volumes = volumes_of(engine)
    tests = _tests(filters)
    used = volumes.used_names()
    listed = (
        ListedVolume(volume, volumes.data_dir(volume.name), volume.name in used)
        for volume in volumes.all()
    )
    return tuple(one for one in listed if all(test(one) for test in tests))


def _tests(filters: Iterable[str]) -> list[_Test]:
    """Of filters with one name any will do, but for labels."""
    by_name: dict[str, list[_Test]] = {}
    for text in filters:
        name, equals, value = text.partition("=")
        if name not in FILTERS or not equals:
            raise UsageError(
                f'there is no filter "{text[:100]}"', hint=f"NAME=VALUE, of {', '.join(FILTERS)}"
            )
        by_name.setdefault(name, []).append(_test(name, value))
    tests = by_name.pop("label", [])
    return tests + [_any_of(group) for group in by_name.values()]


def _any_of(group: list[_Test]) -> _Test:
    return lambda listed: any(test(listed) for test in group)


def _test(name: str, value: str) -> _Test:
    match name:
        case "dangling":
            if value not in {"true", "1", "false", "0"}:
                raise UsageError(f'--filter dangling: "{value}" is neither true nor false')
            wanted = value in {"true", "1"}
            return lambda listed: listed.in_use != wanted
        case "driver":
            return lambda _: value == "local"
        case "label":
            return lambda listed: _has_label(listed.volume, value)
        case _:
            return lambda listed: value in listed.volume.name


def _has_label(volume: Volume, text: str) -> bool:
    name, equals, value = text.partition("=")
    labels = dict(volume.labels)
    return name in labels and (not equals or labels[name] == value)


def prune_volumes(engine: Engine, filters: Iterable[str] = (), *, every: bool = False) -> Pruned:
    """Remove the volumes that no container has mounted: anonymous ones, or `every` one.

    `filters`: "label=K[=V]", and "label!=K[=V]" for those that are spared.
    """
    volumes = volumes_of(engine)
    chosen = _prunable(filters)
    names: list[str] = []
    freed_bytes = 0
    for volume in volumes.all():
        if (every or volume.anonymous) and all(test(volume) for test in chosen):
            size_bytes = 0 if volume.device else tree_bytes(volumes.data_dir(volume.name))
            if volumes.remove_unused(volume.name):
                names.append(volume.name)
                freed_bytes += size_bytes
    volumes.sweep()
    return Pruned(tuple(names), freed_bytes)


def _prunable(filters: Iterable[str]) -> list[Callable[[Volume], bool]]:
    tests: list[Callable[[Volume], bool]] = []
    for text in filters:
        name, equals, value = text.partition("=")
        if name not in {"label", "label!"} or not equals:
            raise UsageError(
                f'there is no filter "{text[:100]}"', hint="label=NAME[=VALUE] or label!=NAME"
            )
        tests.append(_label_test(value, spared=name == "label!"))
    return tests


def _label_test(value: str, *, spared: bool) -> Callable[[Volume], bool]:
    return lambda volume: _has_label(volume, value) != spared
