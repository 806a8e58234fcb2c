"""Which rules of the profile apply, and the cache of compiled filters."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.errors import IsolationError
from builder.kernel import libseccomp
from builder.sandbox import seccomp
from builder.sandbox.api import DEFAULT_CAPABILITIES
from builder.sandbox.seccomp_profile import RULE_GROUPS, RuleGroup

DEFAULT = frozenset(DEFAULT_CAPABILITIES)
KERNEL = (6, 1)


def answers(call: str, capabilities=DEFAULT, go_name="amd64", kernel=KERNEL) -> set[int]:
    """What the groups that apply say of a call: 0 for allowed, else its errno."""
    return {
        group.error
        for group in RULE_GROUPS
        if call in group.calls.split() and seccomp.applies(group, capabilities, go_name, kernel)
    }


def test_a_group_applies_where_all_its_conditions_hold():
    group = RuleGroup(
        "x", with_capabilities=("A", "B"), architectures=("amd64",), min_kernel=(4, 8)
    )
    assert seccomp.applies(group, frozenset("ABC"), "amd64", (4, 8))
    assert not seccomp.applies(group, frozenset("A"), "amd64", (4, 8))
    assert not seccomp.applies(group, frozenset("AB"), "arm64", (4, 8))
    assert not seccomp.applies(group, frozenset("AB"), "amd64", (4, 7))


def test_an_excluded_capability_or_architecture_turns_a_group_off():
    group = RuleGroup("x", without_capabilities=("A",), not_architectures=("s390x",))
    assert seccomp.applies(group, frozenset("B"), "amd64", KERNEL)
    assert not seccomp.applies(group, frozenset("AB"), "amd64", KERNEL)
    assert not seccomp.applies(group, frozenset("B"), "s390x", KERNEL)


def test_mounting_takes_the_capability_to_administer():
    assert answers("mount") == set()
    assert answers("mount", DEFAULT | {"CAP_SYS_ADMIN"}) == {0}


def test_clone3_is_said_not_to_exist_unless_its_flags_do_not_matter():
    assert answers("clone3") == {errno.ENOSYS}
    assert answers("clone3", DEFAULT | {"CAP_SYS_ADMIN"}) == {0}


def test_each_architecture_has_the_calls_that_its_c_library_starts_with():
    assert answers("arch_prctl") == {0}
    assert answers("arch_prctl", go_name="arm64") == set()
    assert answers("set_tls", go_name="arm64") == {0}


def test_what_leads_out_of_a_container_is_in_no_group_of_the_default():
    for call in (
        "keyctl",
        "bpf",
        "open_by_handle_at",
        "kexec_load",
        "init_module",
        "setns",
        "swapon",
    ):
        assert answers(call) == set(), call


@pytest.fixture
def has_libseccomp():
    try:
        libseccomp.version()
    except OSError:
        pytest.skip("libseccomp is not installed")


@pytest.mark.usefixtures("has_libseccomp")
def test_a_filter_is_compiled_once_for_each_set_of_capabilities(tmp_path: Path):
    first = seccomp.filter_path(str(tmp_path), DEFAULT_CAPABILITIES)
    stamp = os.stat(first).st_mtime_ns
    assert seccomp.filter_path(str(tmp_path), DEFAULT_CAPABILITIES[::-1]) == first
    assert os.stat(first).st_mtime_ns == stamp
    assert seccomp.filter_path(str(tmp_path), ()) != first
    assert os.stat(first).st_size % 8 == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_without_libseccomp_the_error_says_what_to_install(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(libseccomp, "_LIBRARY", "libseccomp.so.missing")
    libseccomp._library.cache_clear()
    try:
        with pytest.raises(IsolationError) as caught:
            seccomp.filter_path(str(tmp_path), DEFAULT_CAPABILITIES)
    finally:
        libseccomp._library.cache_clear()
    assert "libseccomp2" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("release", "expected"),
    [("6.1.0-18-amd64", (6, 1)), ("5.15", (5, 15)), ("6.18-rc1", (6, 18)), ("odd", (0, 0))],
)
def test_the_kernels_release_is_two_numbers(release: str, expected: tuple[int, int]):
    assert seccomp.kernel_version(release) == expected
