"""`--filter until=`, `label=` and `label!=` of the prune commands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.errors import UsageError
from builder.runtime.moments import parse_moment
from cache.record import record

_LabelTest = tuple[str, str | None]  # name; value, None for any


@record
class PruneFilter:
    """What may be removed: all, unless something is said."""

    until: float | None = None  # made before, seconds since the epoch
    labels: tuple[_LabelTest, ...] = ()  # has all of them
    not_labels: tuple[_LabelTest, ...] = ()  # has none of them

    @property
    def says_nothing(self) -> bool:
        return self == PruneFilter()

    def allows(self, created: float, labels: Mapping[str, str]) -> bool:
        """Whether something of this age with these labels may go."""
        if self.until is not None and created >= self.until:
            return False
        return all(_has(labels, test) for test in self.labels) and not any(
            _has(labels, test) for test in self.not_labels
        )


def parse_prune_filters(entries: Iterable[str], *, now: float) -> PruneFilter:
    """UsageError for a filter that there isn't."""
    until: float | None = None
    labels: list[_LabelTest] = []
    not_labels: list[_LabelTest] = []
    for text in entries:
        name, separator, value = text.partition("=")
        match name:
            case "until" if value:
                moment = parse_moment(value, now=now, option="--filter until")
                until = moment if until is None else min(until, moment)
            case "label" if value:
                labels.append(_label_test(value))
            case "label!" if value:
                not_labels.append(_label_test(value))
            case _:
                reason = "is not NAME=VALUE" if not (separator and value) else "is not known"
                raise UsageError(
                    f'--filter "{text[:100]}" {reason}',
                    hint="there are until=, label= and label!=",
                )
    return PruneFilter(until, tuple(labels), tuple(not_labels))


def _label_test(text: str) -> _LabelTest:
    name, separator, value = text.partition("=")
    return name, value if separator else None


def _has(labels: Mapping[str, str], test: _LabelTest) -> bool:
    name, value = test
    return name in labels and value in {None, labels[name]}
