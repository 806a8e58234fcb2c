"""Capability sets."""

from __future__ import annotations

import pytest

from builder.kernel import capabilities


def test_the_numbers_are_those_of_the_kernel():
    numbers = {"CAP_CHOWN": 0, "CAP_SYS_ADMIN": 21, "CAP_AUDIT_READ": 37, "CAP_BPF": 39}
    assert {name: capabilities.NAMES.index(name) for name in numbers} == numbers
    assert len(capabilities.NAMES) == 41


def test_a_mask_has_a_bit_for_each_name_once():
    assert capabilities.mask_of(("CAP_CHOWN", "CAP_KILL", "CAP_KILL")) == 0b100001


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="not in tuple"):
        capabilities.mask_of(("CAP_NOTHING",))


def test_the_sets_of_this_process_are_those_that_proc_shows():
    with open("/proc/self/status", encoding="ascii") as file:
        shown = {line[:6]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}
    assert capabilities.get_sets() == (shown["CapEff"], shown["CapPrm"], shown["CapInh"])
