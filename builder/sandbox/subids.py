"""The subordinate ids that the system grants the caller. Spec: subuid(5), subgid(5)."""

from __future__ import annotations

import os
import pwd

IdRange = tuple[int, int, int]
"""(id inside, id outside, count): a line of a uid_map."""

_PROGRAMS = ("newuidmap", "newgidmap")


def subordinate_ranges(uid: int, gid: int) -> tuple[tuple[IdRange, ...], tuple[IdRange, ...], str]:
    """The ranges that make `uid` and `gid` 0 and put the caller's subordinate ids behind them.

    The third part says in words what is missing for it; then the ranges are empty.
    """
    missing = [program for program in _PROGRAMS if not _on_path(program)]
    if missing:
        return (), (), f"{missing[0]} is not installed (Debian and Ubuntu: package uidmap)"
    owners = _names_of(uid)
    uids = granted(_text_of("/etc/subuid"), owners)
    gids = granted(_text_of("/etc/subgid"), owners)
    if not uids or not gids:
        file = "/etc/subgid" if uids else "/etc/subuid"
        return (), (), f"{file} has no line for {owners[-1]}"
    return stacked(uid, uids), stacked(gid, gids), ""


def granted(text: str, owners: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """(first id, count) of each line that is for one of `owners`; ill-formed lines are skipped."""
    found: list[tuple[int, int]] = []
    for line in text.splitlines():
        owner, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if owner in owners and first.isdigit() and count.isdigit() and int(count) > 0:
            found.append((int(first), int(count)))
    return tuple(found)


def stacked(own: int, subordinate: tuple[tuple[int, int], ...]) -> tuple[IdRange, ...]:
    """`own` as 0 and then the subordinate ranges, one after the other from 1 on."""
    ranges: list[IdRange] = [(0, own, 1)]
    inside = 1
    for first, count in subordinate:
        ranges.append((inside, first, count))
        inside += count
    return tuple(ranges)


def parsed_map(text: str) -> tuple[IdRange, ...]:
    """The ranges of a /proc/PID/uid_map. Spec: user_namespaces(7)."""
    lines = (line.split() for line in text.splitlines())
    return tuple((int(inside), int(outside), int(count)) for inside, outside, count in lines)


def _names_of(uid: int) -> tuple[str, ...]:
    try:
        return str(uid), pwd.getpwuid(uid).pw_name
    except KeyError:
        return (str(uid),)


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _on_path(program: str) -> bool:
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(directory, program), os.X_OK) for directory in directories)
