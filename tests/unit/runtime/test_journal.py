from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.runtime import journal
from builder.runtime.journal import Event, EventFilter, Journal, encode_event, event_of
from builder.runtime.loglines import RotatedLines
from cache.statedir import StateDir

STARTED = Event("container", "start", "f" * 64, (("image", "app:1"), ("name", "web")), 5)


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


def actions(state: StateDir) -> list[str]:
    with RotatedLines(state.journal) as lines:
        found = map(event_of, lines.more())
        return [event.action for event in found if event is not None]


def test_events_are_kept_in_order(state):
    for action in ("create", "start", "die"):
        Journal(state).note("container", action, "id", name="web", exitCode="3")
    assert actions(state) == ["create", "start", "die"]


def test_a_journal_that_cannot_be_written_to_stops_nobody(state):
    with open(state.journal_dir, "w", encoding="ascii"):
        pass
    Journal(state).note("image", "pull", "app")


def test_a_long_journal_begins_a_new_file_and_keeps_the_one_before(state, monkeypatch):
    monkeypatch.setattr(journal, "MAX_BYTES", 2000)
    for number in range(100):
        Journal(state).note("volume", str(number), "data")
    assert sorted(os.listdir(state.journal_dir)) == ["events", "events.1"]
    kept = actions(state)
    assert kept[-1] == "99"
    assert kept == [str(number) for number in range(100 - len(kept), 100)]
    assert (
        sum(os.stat(os.path.join(state.journal_dir, n)).st_size for n in ("events", "events.1"))
        < 5000
    )


def test_writers_at_once_lose_nothing(state):
    def write(name: str) -> None:
        for number in range(200):
            Journal(state).note("image", f"{name}{number}", "app")

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = actions(state)
    for name in "ab":
        assert [one for one in found if one[0] == name] == [f"{name}{n}" for n in range(200)]


@given(
    st.builds(
        Event,
        st.sampled_from(journal.KINDS),
        st.text(),
        st.text(),
        st.dictionaries(st.text(), st.text(), max_size=3).map(lambda d: tuple(sorted(d.items()))),
        st.integers(0, 2**62),
    )
)
def test_an_event_comes_back_from_its_line(event: Event):
    line = encode_event(event)
    assert line.count(b"\n") == 1
    assert event_of(line) == event


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"Type":"x","Action":"a","timeNano":1,"Actor":{}}', b'{"Type"']
)
def test_a_damaged_line_is_no_event(line: bytes):
    assert event_of(line) is None


@pytest.mark.parametrize(
    ("entries", "is_meant"),
    [
        ((), True),
        ((("type", "container"),), True),
        ((("type", "image"),), False),
        ((("type", "image"), ("type", "container")), True),
        ((("event", "start"), ("container", "web")), True),
        ((("event", "die"), ("container", "web")), False),
        ((("container", "ffff"),), True),
        ((("container", "db"),), False),
        ((("image", "app"),), True),
        ((("image", "app:1"),), True),
        ((("image", "ap"),), False),
        ((("label", "name=web"),), True),
        ((("label", "other"),), False),
    ],
)
def test_filters_mean_what_docker_means(entries, is_meant):
    assert EventFilter(entries).allows(STARTED) is is_meant
