"""What an image says about itself, put together from a plan and the layers it gave. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform
from cache.digest import Digest
from cache.record import replace


class PlannedEntry(Protocol):
    """A history entry of an instruction, without its time."""

    @property
    def created_by(self) -> str: ...
    @property
    def empty_layer(self) -> bool: ...
    @property
    def comment(self) -> str: ...


def assemble(
    *,
    platform: Platform,
    config: ContainerConfig,
    base_history: Sequence[HistoryEntry],
    history: Sequence[PlannedEntry],
    diff_ids: Sequence[Digest],
    created: float,
    layer_times: Sequence[float] | None = None,
    author: str = "",
    labels: Mapping[str, str] | None = None,
    epoch: int | None = None,
) -> ImageConfig:
    """The config of an image; times are seconds since the epoch.

    `diff_ids` is the whole stack, base first; `layer_times` has one time for each layer of
    `history` (None: all were made at `created`), and an entry without a layer has that of the layer
    before it. `labels` win over the config's own. With an `epoch` no time in the result, the base
    image's history included, is later than it.
    """
    own_layers = sum(not entry.empty_layer for entry in history)
    if layer_times is None:
        layer_times = (created,) * own_layers
    assert own_layers == len(layer_times), "a time for each layer"
    assert own_layers <= len(diff_ids), "a history entry without its layer"
    inherited = _matched_to_layers(base_history, len(diff_ids) - own_layers)
    if epoch is not None:
        inherited = tuple(_clamped(entry, epoch) for entry in inherited)
        layer_times = tuple(min(moment, epoch) for moment in layer_times)
        created = min(created, epoch)
    merged_labels = {**dict(config.labels), **(labels or {})}
    return ImageConfig(
        platform=platform,
        config=replace(config, labels=tuple(sorted(merged_labels.items()))),
        diff_ids=tuple(diff_ids),
        history=(*inherited, *_dated(history, layer_times, created, author)),
        created=rfc3339(created),
        author=author,
    )


def _dated(
    history: Sequence[PlannedEntry], layer_times: Sequence[float], created: float, author: str
) -> Iterator[HistoryEntry]:
    remaining = iter(layer_times)
    moment = layer_times[0] if layer_times else created
    for entry in history:
        if not entry.empty_layer:
            moment = next(remaining)
        yield HistoryEntry(
            created=rfc3339(moment),
            created_by=entry.created_by,
            author=author,
            comment=entry.comment,
            empty_layer=entry.empty_layer,
        )


def rfc3339(seconds: float) -> str:
    """A time as documents have it, in UTC, with a fraction (to the microsecond) if it has one."""
    whole = int(seconds // 1)
    microseconds = int((seconds - whole) * 1_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    fraction = f".{microseconds:06}".rstrip("0") if microseconds else ""
    return f"{text}{fraction}Z"


def seconds_of(text: str) -> float | None:
    """The seconds since the epoch that an RFC 3339 time stands for; None where it is none."""
    from datetime import UTC, datetime  # noqa: PLC0415  only for images of others: 2 ms

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _matched_to_layers(base: Sequence[HistoryEntry], layers: int) -> tuple[HistoryEntry, ...]:
    """One entry a layer: some tools write no history, or keep entries of squashed layers."""
    entries: list[HistoryEntry] = []
    for entry in base:
        if entry.empty_layer or layers > 0:
            entries.append(entry)
            layers -= not entry.empty_layer
    return (*entries, *(HistoryEntry() for _ in range(layers)))


def _clamped(entry: HistoryEntry, epoch: int) -> HistoryEntry:
    created = seconds_of(entry.created)
    if created is None or created > epoch:
        return replace(entry, created=rfc3339(epoch))
    return entry
