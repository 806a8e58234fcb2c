from __future__ import annotations

from dataclasses import dataclass

import pytest

from builder.image.assemble import assemble, rfc3339, seconds_of
from builder.image.model import ContainerConfig, HistoryEntry, Platform
from builder.image.validate import check_history
from cache.digest import sha256_digest

AMD64 = Platform("linux", "amd64")
DIFF_IDS = tuple(sha256_digest(bytes([number])) for number in range(4))


@dataclass(frozen=True)
class Planned:
    created_by: str
    empty_layer: bool = False
    comment: str = "buildkit.dockerfile.v0"


def made(**changes):
    arguments = {
        "platform": AMD64,
        "config": ContainerConfig(),
        "base_history": (),
        "history": (),
        "diff_ids": (),
        "created": 10,
    }
    return assemble(**(arguments | changes))


def test_each_instruction_has_the_time_of_its_layer():
    history = (Planned("ENV", empty_layer=True), Planned("RUN a"), Planned("ENV", empty_layer=True))
    image = made(
        history=(*history, Planned("RUN b")), diff_ids=DIFF_IDS[:2], layer_times=(3, 5), created=5
    )
    assert [seconds_of(entry.created) for entry in image.history] == [3, 3, 3, 5]
    assert image.created == "1970-01-01T00:00:05Z"


def test_without_layer_times_all_is_made_at_once():
    image = made(history=(Planned("RUN a"),), diff_ids=DIFF_IDS[:1])
    assert [entry.created for entry in image.history] == ["1970-01-01T00:00:10Z"]


def test_an_epoch_is_the_latest_time_anywhere():
    base = (HistoryEntry("2024-01-01T00:00:00+01:00"), HistoryEntry("1970-01-01T00:00:01.5Z"))
    image = made(
        base_history=base,
        history=(Planned("RUN a"),),
        diff_ids=DIFF_IDS[:3],
        layer_times=(100,),
        epoch=7,
    )
    assert image.created == "1970-01-01T00:00:07Z"
    assert [entry.created for entry in image.history] == [
        "1970-01-01T00:00:07Z",
        "1970-01-01T00:00:01.5Z",
        "1970-01-01T00:00:07Z",
    ]


@pytest.mark.parametrize(
    "base",
    [
        (),
        (HistoryEntry(created_by="one"),),
        (HistoryEntry(created_by="env", empty_layer=True), HistoryEntry(), HistoryEntry()),
        (HistoryEntry(), HistoryEntry(), HistoryEntry(), HistoryEntry()),
    ],
)
def test_a_base_history_of_another_length_is_fitted_to_the_layers(base):
    image = made(base_history=base, history=(Planned("RUN a"),), diff_ids=DIFF_IDS[:3])
    check_history(image)
    assert image.history[-1].created_by == "RUN a"


def test_labels_given_win_over_the_configs_own():
    config = ContainerConfig(labels=(("b", "old"), ("a", "1")))
    image = made(config=config, labels={"b": "new", "c": "3"})
    assert image.config.labels == (("a", "1"), ("b", "new"), ("c", "3"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (1.5, "1970-01-01T00:00:01.5Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_written_in_utc(seconds, text):
    assert rfc3339(seconds) == text
    assert seconds_of(text) == seconds


def test_a_time_in_nanoseconds_and_another_zone_is_read():
    assert seconds_of("1970-01-01T01:00:00.123456789+01:00") == pytest.approx(0.123456)
    assert seconds_of("yesterday") is None
