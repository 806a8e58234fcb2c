"""What a new container gets of this machine when it is made: ids for its user namespace.

Effects: this process's own id map and /etc/subuid are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from builder.runtime.container import Container, HostConfig
from builder.runtime.userns import Available, Range, parse_userns, ranges_of
from builder.sandbox.api import IdMaps
from builder.sandbox.subids import granted
from cache.record import replace

_OWNER = ("containers",)
"""Whose subordinate ids root's containers get, as Podman has it."""


def with_ids(container: Container, others: Callable[[], Iterable[Container]]) -> Container:
    """The container with the ids of its user namespace, which no one of `others` has with `auto`.

    InvalidOptionError where there are none for it.
    """
    security = container.host.security
    mode = parse_userns(security.userns or "host")
    if mode.kind == "host":
        return container
    used = _used(others()) if mode.kind == "auto" else ()
    uids, gids = ranges_of(mode, available_ids(), used)
    security = replace(security, uid_map=uids, gid_map=gids)
    return replace(container, host=replace(container.host, security=security))


def id_maps(host: HostConfig) -> IdMaps | None:
    """As the sandbox takes them; None for a container without a user namespace of its own."""
    security = host.security
    return IdMaps(security.uid_map, security.gid_map) if security.uid_map else None


def user_of_keep_id(text: str) -> str | None:
    """Whom a container runs as by default with `--userns keep-id`: the caller."""
    mode = parse_userns(text or "host")
    if mode.kind != "keep-id":
        return None
    available = available_ids()
    uid = available.uid if mode.uid < 0 else mode.uid
    return f"{uid}:{available.gid if mode.gid < 0 else mode.gid}"


def available_ids() -> Available:
    """What this process can give on."""
    uid_map, gid_map = _own_map("uid_map"), _own_map("gid_map")
    rootless = uid_map[:1] != ((0, 0, 2**32 - 1),) and uid_map[0][1] != 0
    if not rootless:
        return Available(rootless=False, uid=0, gid=0, free=_granted_to_containers(), count=0)
    count = min(_contiguous(uid_map), _contiguous(gid_map))
    return Available(
        rootless=True, uid=uid_map[0][1], gid=gid_map[0][1], free=((1, count - 1),), count=count
    )


def _own_map(name: str) -> tuple[Range, ...]:
    with open(f"/proc/self/{name}", encoding="ascii") as file:
        lines = [tuple(map(int, line.split())) for line in file]
    return tuple((inside, outside, count) for inside, outside, count in lines)


def _contiguous(ranges: tuple[Range, ...]) -> int:
    """How many ids there are from 0 on."""
    end = 0
    for inside, _, count in ranges:
        if inside != end:
            break
        end += count
    return end


def _granted_to_containers() -> tuple[tuple[int, int], ...]:
    """Ranges that both files grant."""
    texts: list[str] = []
    for path in ("/etc/subuid", "/etc/subgid"):
        if not os.path.exists(path):
            return ()
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    uids, gids = (granted(text, _OWNER) for text in texts)
    return tuple(each for each in uids if each in gids)


def _used(others: Iterable[Container]) -> tuple[Range, ...]:
    return tuple(each for other in others for each in other.host.security.uid_map)
