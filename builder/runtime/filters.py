"""Which containers a `--filter` means, as Docker reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from builder.errors import UsageError
from builder.runtime.container import ContainerReport
from builder.runtime.volumes import source_of
from cache.record import record

_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_NAMES = (
    *("ancestor", "before", "exited", "id", "label"),
    *("name", "network", "since", "status", "volume"),
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


def _single_test(item: Filter, lookups: Lookups) -> _Test:  # noqa: PLR0911 - one a filter
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
            return lambda report: value in report.container.name
        case "label":
            return lambda report: _has_label(report, value)
        case "network":
            return lambda report: report.container.network_mode == value
        case "status":
            return lambda report: report.status == value
        case _:
            return lambda report: any(
                value in {source_of(mount), mount.target}
                for mount in report.container.host.mounts.entries
            )


def _has_label(report: ContainerReport, text: str) -> bool:
    name, separator, value = text.partition("=")
    labels = dict(report.container.config.labels)
    return name in labels and (not separator or labels[name] == value)
