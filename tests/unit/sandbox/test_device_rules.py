"""Rules for devices: what version 1's files get, and what version 2's program decides."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.kernel.cgroup import ControlGroup
from builder.sandbox import devicerules
from builder.sandbox.devicerules import DEFAULT_RULES, DeviceRule, parse_rule, program

KINDS = {"b": 1, "c": 2}
ACCESSES = {"m": 1, "r": 2, "w": 4}


def decides(code: bytes, kind: str, access: str, major: int, minor: int) -> int:
    """What a kernel would get from the program, by a tiny interpreter."""
    context = (sum(ACCESSES[letter] for letter in access) << 16 | KINDS[kind], major, minor)
    registers = [0] * 11
    place = 0
    while True:
        operation, pair, offset, number = struct.unpack_from("=BBhi", code, place * 8)
        target, source = pair & 15, pair >> 4
        place += 1
        match operation:
            case 0x61:
                assert source == 1
                registers[target] = context[offset // 4]
            case 0xBC:
                registers[target] = registers[source]
            case 0xB4:
                registers[target] = number
            case 0x54:
                registers[target] &= number
            case 0x74:
                registers[target] >>= number
            case 0x55:
                place += offset * (registers[target] != number)
            case 0x5D:
                place += offset * (registers[target] != registers[source])
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")


def is_allowed(rule: DeviceRule, kind: str, access: str, major: int, minor: int) -> bool:
    if not set(access) <= set(rule.access):
        return False
    return rule.kind == "a" or (
        rule.kind == kind and rule.major in {None, major} and rule.minor in {None, minor}
    )


numbers = st.integers(0, 3)
accesses = st.sets(st.sampled_from("rwm"), min_size=1).map("".join)
rules = st.builds(
    DeviceRule,
    st.sampled_from(("a", "b", "c")),
    st.none() | numbers,
    st.none() | numbers,
    accesses,
)


@given(st.lists(rules, max_size=6), st.sampled_from("bc"), accesses, numbers, numbers)
def test_the_program_allows_what_one_of_the_rules_allows(
    allowed: list[DeviceRule], kind: str, access: str, major: int, minor: int
):
    expected = any(is_allowed(rule, kind, access, major, minor) for rule in allowed)
    assert decides(program(allowed), kind, access, major, minor) == expected


def test_docker_s_devices_may_be_used_and_a_disk_may_not():
    code = program(DEFAULT_RULES)
    assert decides(code, "c", "rw", 1, 3) == 1
    assert decides(code, "c", "rw", 136, 9) == 1
    assert decides(code, "b", "m", 8, 0) == 1
    assert decides(code, "b", "r", 8, 0) == 0
    assert decides(code, "c", "rw", 1, 11) == 0  # /dev/kmsg
    assert decides(code, "c", "r", 10, 200) == 0  # /dev/net/tun


def test_version_1_denies_all_and_then_allows_each(tmp_path: Path):
    (tmp_path / "devices.allow").touch()
    group = ControlGroup({"devices": str(tmp_path)})
    assert devicerules.enforce(group, [DeviceRule("c", 1, None, "r"), DeviceRule("b", 8, 0)])
    assert (tmp_path / "devices.deny").read_text() == "a"
    assert (tmp_path / "devices.allow").read_text() == "c 1:* rb 8:0 rwm"  # a write each


def test_without_a_group_nothing_is_in_force():
    assert not devicerules.enforce(ControlGroup({}), DEFAULT_RULES)


@pytest.mark.parametrize("text", ["c 1:3 rwm", "b *:0 m", "a *:* rwm"])
def test_a_rule_is_the_same_after_it_was_written_down(text: str):
    assert str(parse_rule(text)) == text


@given(st.text())
def test_no_text_breaks_the_reading_of_a_rule(text: str):
    rule = parse_rule(text)
    assert rule is None or parse_rule(str(rule)) == rule
