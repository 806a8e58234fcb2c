"""Which containers a `--filter` means, as Docker reads it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from builder.errors import UsageError
from builder.runtime.container import ContainerReport
from builder.runtime.health import STATUSES
from builder.runtime.volumes import source_of
from cache.record import record

_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_NAMES = (
    *("ancestor", "before", "exited", "expose", "health", "id", "label"),
    *("name", "network", "publish", "since", "status", "volume"),
)


@record
class Filter:
    """`NAME=VALUE`."""

    name: str
    value: str


@record
class Lookups:
    """What the index knows and the containers themselves don't."""

    created_of: Callable[[str], float]  # of the container that a user names so
    image_ids_of: Callable[[str], frozenset[str]]  # of an image, by name or id


def parse_filter(text: str) -> Filter:
    """UsageError for a filter that there isn't."""
    name, separator, value = text.partition("=")
    if not separator or not value:
        raise UsageError(f'--filter "{text}" is not NAME=VALUE')
    if name not in _NAMES:
        raise UsageError(
            f'there is no filter called "{name}"', hint=f"there are {', '.join(_NAMES)}"
        )
    if name == "status" and value not in _STATUSES:
        raise UsageError(
            f'no container ever has the status "{value}"', hint=f"one of {', '.join(_STATUSES)}"
        )
    if name == "exited" and not value.removeprefix("-").isdecimal():
        raise UsageError(f'--filter exited: "{value}" is not a number')
    if name == "health" and value not in STATUSES:
        raise UsageError(
            f'no container ever has the health "{value}"', hint=f"one of {', '.join(STATUSES)}"
        )
    if name in {"publish", "expose"}:
        _port_range(name, value)
    if name == "name":
        _pattern(value)
    return Filter(name, value)


def asks_for_status(filters: Iterable[Filter]) -> bool:
    """Whether containers that don't run are meant too."""
    return any(item.name in {"status", "exited"} for item in filters)


def matching(
    reports: Sequence[ContainerReport], filters: Sequence[Filter], lookups: Lookups
) -> tuple[ContainerReport, ...]:
    """Those that all filters mean; of filters with one name any will do, but for labels."""
    tests = [_test(name, filters, lookups) for name in dict.fromkeys(f.name for f in filters)]
    return tuple(report for report in reports if all(test(report) for test in tests))


_Test = Callable[[ContainerReport], bool]


def _test(name: str, filters: Sequence[Filter], lookups: Lookups) -> _Test:
    tests = [_single_test(item, lookups) for item in filters if item.name == name]
    if name == "label":
        return lambda report: all(test(report) for test in tests)
    return lambda report: any(test(report) for test in tests)


def _single_test(item: Filter, lookups: Lookups) -> _Test:  # noqa: C901, PLR0911 - one a filter
    value = item.value
    match item.name:
        case "ancestor":
            image_ids = lookups.image_ids_of(value)
            return lambda report: report.container.image_id in image_ids
        case "before":
            created = lookups.created_of(value)
            return lambda report: report.container.created < created
        case "since":
            created = lookups.created_of(value)
            return lambda report: report.container.created > created
        case "exited":
            return lambda report: report.status == "exited" and report.state.exit_code == int(value)
        case "id":
            return lambda report: value in report.container.container_id
        case "name":
            pattern = _pattern(value)
            return lambda report: (
                pattern(report.container.name) or pattern(f"/{report.container.name}")
            )
        case "health":
            return lambda report: report.health == value
        case "publish" | "expose":
            first, last, kind = _port_range(item.name, value)
            return lambda report: any(
                first <= number <= last and kind == found
                for number, found in _ports(report, published=item.name == "publish")
            )
        case "label":
            return lambda report: _has_label(report, value)
        case "network":
            return lambda report: value in _networks(report)
        case "status":
            return lambda report: report.status == value
        case _:
            return lambda report: any(
                value in {source_of(mount), mount.target}
                for mount in report.container.host.mounts.entries
            )


def _pattern(text: str) -> Callable[[str], bool]:
    """Docker's names are regular expressions: `^web-[0-9]$`."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f'--filter name: "{text[:100]}" is no pattern: {error}') from error
    return lambda name: pattern.search(name) is not None


def _port_range(name: str, text: str) -> tuple[int, int, str]:
    """`80`, `80/udp`, `8000-8100/tcp`: first, last, protocol."""
    numbers, _, kind = text.partition("/")
    first, dash, last = numbers.partition("-")
    is_right = first.isdecimal() and (not dash or last.isdecimal())
    if not is_right or kind not in {"", "tcp", "udp", "sctp"}:
        raise UsageError(f'--filter {name}: "{text[:100]}" is not PORT[-PORT][/PROTOCOL]')
    return int(first), int(last or first), kind or "tcp"


def _ports(report: ContainerReport, *, published: bool) -> list[tuple[int, str]]:
    """Of the PORTS column the numbers on this machine, or in the container."""
    found: list[tuple[int, str]] = []
    for text in filter(None, report.ports.split(", ")):
        place, arrow, inside = text.rpartition("->")
        numbers, _, kind = inside.partition("/")
        if published:
            numbers = place.rpartition(":")[2] if arrow else ""
        first, _, last = numbers.partition("-")
        if first.isdecimal():
            found += [(number, kind) for number in range(int(first), int(last or first) + 1)]
    return found


def _networks(report: ContainerReport) -> set[str]:
    memberships = report.container.host.networking.memberships
    return {report.container.network_mode, *(item.network for item in memberships)}


def _has_label(report: ContainerReport, text: str) -> bool:
    name, separator, value = text.partition("=")
    labels = dict(report.container.config.labels)
    return name in labels and (not separator or labels[name] == value)
