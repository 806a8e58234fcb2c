"""Seccomp profiles in Docker's JSON form."""

from __future__ import annotations

import json

import pytest

from builder.errors import UnsupportedError, UsageError
from builder.kernel import libseccomp
from builder.sandbox import seccomp
from builder.sandbox.seccomp_json import Profile, Subject, parse_profile

SUBJECT = Subject(frozenset({"CAP_SYS_ADMIN"}), "amd64", (5, 10))
ERRNO_1 = libseccomp.ACT_ERRNO | 1


def profile(*syscalls: dict, **fields) -> Profile:
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(syscalls), **fields}
    return parse_profile(json.dumps(document), SUBJECT)


def allow(**fields) -> dict:
    return {"names": ["read"], "action": "SCMP_ACT_ALLOW", **fields}


def test_names_become_rules_and_unnamed_calls_get_the_default():
    found = profile(allow(names=["read", "write"]), allow(names=None, name="kill"))
    assert found.default_action == ERRNO_1
    assert [rule[1] for rule in found.rules] == ["read", "write", "kill"]


def test_error_numbers_are_the_profiles():
    found = profile(allow(action="SCMP_ACT_ERRNO", errnoRet=38), defaultErrnoRet=13)
    assert found.default_action == libseccomp.ACT_ERRNO | 13
    assert found.rules == ((libseccomp.ACT_ERRNO | 38, "read", ()),)


def test_a_rule_that_does_what_the_default_does_is_left_out():
    assert profile(allow(action="SCMP_ACT_ERRNO")).rules == ()


@pytest.mark.parametrize(
    ("fields", "applies"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, False),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"includes": {"arches": ["arm64", "amd64"]}}, True),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "5.10"}}, True),
        ({"includes": {"minKernel": "5.11"}}, False),
        ({"excludes": {"minKernel": "5.10"}}, False),
        ({"includes": {}, "excludes": {}}, True),
    ],
)
def test_conditions_decide_whether_a_rule_applies(fields, applies):
    assert bool(profile(allow(**fields)).rules) is applies


def test_two_conditions_about_one_argument_are_two_rules():
    args = [{"index": 0, "value": v, "op": "SCMP_CMP_EQ"} for v in (1, 2)]
    assert len(profile(allow(args=args)).rules) == 2
    args[1]["index"] = 1
    assert len(profile(allow(args=args)).rules) == 1


def test_the_other_architectures_of_this_machine_are_taken():
    mapped = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    assert profile(archMap=mapped).architectures == ("x86",)
    assert profile(architectures=["SCMP_ARCH_X32"]).architectures == ("x32",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": "SCMP_ACT_FLY"}',
        '{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW",'
        ' "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],'
        ' "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG",'
        ' "includes": {"minKernel": "x"}}]}',
    ],
)
def test_a_profile_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="seccomp profile"):
        parse_profile(text, SUBJECT)


@pytest.mark.parametrize(
    "fields", [{"defaultAction": "SCMP_ACT_NOTIFY"}, {"listenerPath": "/run/agent"}]
)
def test_a_profile_that_asks_for_a_listener_is_refused_by_name(fields):
    with pytest.raises(UnsupportedError, match=r"NOTIFY|listenerPath"):
        profile(**fields)


def test_a_compiled_profile_is_kept_by_its_content(tmp_path):
    one = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}'
    other = one.replace("[]", '[{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]')
    first = seccomp.filter_path(str(tmp_path), (), one)
    assert seccomp.filter_path(str(tmp_path), (), other) != first
    assert seccomp.filter_path(str(tmp_path), (), one) == first
    assert len(list(tmp_path.iterdir())) == 2
