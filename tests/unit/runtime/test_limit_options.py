"""The text of options that limit a container, and Docker's rules for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.runtime import limit_options
from builder.runtime.errors import InvalidOptionError
from builder.runtime.limits import Device, Limits, inspect_fields
from builder.sandbox.devicerules import DeviceRule
from builder.sandbox.grouplimits import DeviceRate, GroupLimits
from cache.record import record

MIB = 1 << 20


@record
class TwoProcessors:
    cpu_count: int = 2
    cpus: frozenset[int] = frozenset({0, 1})
    mems: frozenset[int] = frozenset({0})


def parsed(*, base: GroupLimits | None = None, **values: str) -> GroupLimits:
    by_name = {name.replace("_", "-"): value for name, value in values.items()}
    return limit_options.parse_group_limits(by_name, {}, TwoProcessors(), base)


GOOD = [
    ({"memory": "64m"}, GroupLimits(memory_bytes=64 * MIB)),
    ({"memory": "6m", "memory_swap": "6m"},
     GroupLimits(memory_bytes=6 * MIB, memory_swap_bytes=6 * MIB)),
    ({"memory": "8388608", "memory_swap": "-1"},
     GroupLimits(memory_bytes=8 * MIB, memory_swap_bytes=-1)),
    ({"memory": "8m", "memory_reservation": "7m"},
     GroupLimits(memory_bytes=8 * MIB, memory_reservation_bytes=7 * MIB)),
    ({"memory": "0"}, GroupLimits()),
    ({"memory_swappiness": "0"}, GroupLimits(memory_swappiness=0)),
    ({"memory_swappiness": "-1"}, GroupLimits()),
    ({"cpus": "1.5"}, GroupLimits(nano_cpus=1_500_000_000)),
    ({"cpus": ".000000001"}, GroupLimits(nano_cpus=1)),
    ({"cpu_quota": "1000", "cpu_period": "2000"},
     GroupLimits(cpu_quota_us=1000, cpu_period_us=2000)),
    ({"cpuset_cpus": "0-1", "cpuset_mems": "0"}, GroupLimits(cpuset_cpus="0-1", cpuset_mems="0")),
    ({"pids_limit": "0"}, GroupLimits(pids=-1)),
    ({"pids_limit": "-1"}, GroupLimits(pids=-1)),
    ({"blkio_weight": "0"}, GroupLimits()),
    ({"blkio_weight": "10"}, GroupLimits(blkio_weight=10)),
]  # fmt: skip


@pytest.mark.parametrize(("values", "limits"), GOOD)
def test_what_makes_sense_is_taken(values: dict[str, str], limits: GroupLimits):
    assert parsed(**values) == limits


BAD = [
    ({"memory": "5m"}, "6m"),
    ({"memory": "-1"}, "--memory"),
    ({"memory_reservation": "1m"}, "6m"),
    ({"memory_swap": "10m"}, "needs --memory"),
    ({"memory": "10m", "memory_swap": "9m"}, "at least --memory"),
    ({"memory": "10m", "memory_reservation": "11m"}, "at most --memory"),
    ({"memory_swappiness": "101"}, "between 0 and 100"),
    ({"cpus": "2.01"}, "at most 2"),
    ({"cpus": "-1"}, "not a number"),
    ({"cpus": "1.0000000001"}, "billionth"),
    ({"cpus": "1", "cpu_quota": "5000"}, "give one"),
    ({"cpu_period": "999"}, "between 1000"),
    ({"cpu_quota": "999"}, "1000"),
    ({"cpu_shares": "-1"}, "between"),
    ({"cpuset_cpus": "0,2"}, "number 2"),
    ({"cpuset_cpus": "1-0"}, "list of numbers"),
    ({"cpuset_mems": "x"}, "list of numbers"),
    ({"pids_limit": "many"}, "not a number"),
    ({"blkio_weight": "9"}, "between 10 and 1000"),
]


@pytest.mark.parametrize(("values", "words"), BAD)
def test_what_makes_no_sense_is_refused_with_the_reason(values: dict[str, str], words: str):
    with pytest.raises(InvalidOptionError, match=words):
        parsed(**values)


def test_an_update_changes_what_it_names_and_keeps_the_rest():
    before = GroupLimits(memory_bytes=8 * MIB, memory_swap_bytes=16 * MIB, pids=5)
    after = parsed(base=before, memory="10m")
    assert after == GroupLimits(memory_bytes=10 * MIB, memory_swap_bytes=16 * MIB, pids=5)
    with pytest.raises(InvalidOptionError, match="at least --memory"):
        parsed(base=before, memory="17m")


@given(st.frozensets(st.integers(0, 200), min_size=1), st.data())
def test_a_list_of_processors_means_those_that_it_names(
    numbers: frozenset[int], data: st.DataObject
):
    parts: list[str] = []
    rest = sorted(numbers)
    while rest:
        length = 1
        while length < len(rest) and rest[length] == rest[0] + length:
            length += 1
        length = data.draw(st.integers(1, length))
        first, last = rest[0], rest[length - 1]
        parts.append(f"{first}-{last}" if length > 1 else str(first))
        rest = rest[length:]
    assert limit_options.parse_set(",".join(parts)) == numbers


@given(st.text())
def test_no_text_breaks_the_reading_of_an_option(text: str):
    lists = {"device-read-bps": (f"/dev/x:{text}",)}
    names = ("memory", "memory-swap", "cpus", "cpuset-cpus", "pids-limit", "cpu-quota")
    for values in ({name: text} for name in names):
        try:
            limit_options.parse_group_limits(values, lists, TwoProcessors())
        except InvalidOptionError:
            continue


def test_rates_are_of_devices_of_this_machine():
    assert limit_options.parse_rate("--x", "/dev/a:b:1m", is_bytes=True) == DeviceRate(
        "/dev/a:b", MIB
    )
    assert limit_options.parse_rate("--x", "/dev/a:7", is_bytes=False) == DeviceRate("/dev/a", 7)
    for text in ("/dev/a", "sda:1", "/dev/a:x", "/dev/a:0"):
        with pytest.raises(InvalidOptionError):
            limit_options.parse_rate("--x", text, is_bytes=False)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/a", Device("/dev/a", "/dev/a")),
        ("/dev/a:/dev/b", Device("/dev/a", "/dev/b")),
        ("/dev/a:rw", Device("/dev/a", "/dev/a", "rw")),
        ("/dev/a:/x/../dev/b:m", Device("/dev/a", "/dev/b", "m")),
    ],
)
def test_a_device_has_a_place_in_the_container_and_an_access(text: str, device: Device):
    assert limit_options.parse_device(text) == device


@pytest.mark.parametrize("text", ["", "dev/a", "/dev/a:/b:x", "/dev/a:/b:rr", "/a:b:r", "/a:/b:r:"])
def test_what_is_no_device_is_refused(text: str):
    with pytest.raises(InvalidOptionError):
        limit_options.parse_device(text)


@pytest.mark.parametrize("text", ["c 1:3 rwm", "b *:* m", "a *:* rwm", "c 189:* rw"])
def test_a_rule_is_the_same_after_it_was_written_down(text: str):
    assert str(limit_options.parse_device_rule(text)) == text


@pytest.mark.parametrize("text", ["", "c", "x 1:1 r", "c 1 r", "c 1:1", "c 1:1 q", "c -1:1 r"])
def test_what_is_no_rule_is_refused(text: str):
    with pytest.raises(InvalidOptionError):
        limit_options.parse_device_rule(text)


def test_all_options_of_a_line_come_together():
    limits = limit_options.parse_limits(
        {"memory": "8m", "oom-score-adj": "-1000", "cgroup-parent": "/p", "shm-size": "1m"},
        {"ulimit": ("nofile=1:2",), "device": ("/dev/a",), "device-cgroup-rule": ("c 1:* r",)},
        frozenset({"oom-kill-disable"}),
        TwoProcessors(),
    )
    assert limits == Limits(
        group=GroupLimits(memory_bytes=8 * MIB, oom_kill_disable=True),
        cgroup_parent="/p",
        oom_score_adj=-1000,
        rlimits=(("nofile", 1, 2),),
        shm_size_bytes=MIB,
        devices=(Device("/dev/a", "/dev/a"),),
        device_rules=(DeviceRule("c", 1, None, "r"),),
    )


def test_inspect_shows_the_limits_by_dockers_names():
    shown = inspect_fields(Limits(group=GroupLimits(memory_bytes=MIB, pids=-1, nano_cpus=7)))
    assert (shown["Memory"], shown["MemorySwap"], shown["PidsLimit"]) == (MIB, 2 * MIB, -1)
    assert shown["NanoCpus"] == 7
    assert inspect_fields(Limits())["PidsLimit"] is None
