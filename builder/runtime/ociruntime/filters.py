"""The filter of system calls as a runtime's document has it. Pure.

Spec: OCI runtime-spec config-linux.md (seccomp). Conditions of Docker's profiles (capabilities,
architecture, kernel) have no place there: they are decided here.
"""

from __future__ import annotations

import errno
from itertools import groupby

from builder.kernel import libseccomp
from builder.sandbox.api import ProcessSpec
from builder.sandbox.requests import bounding_names
from builder.sandbox.seccomp import DEFAULT_PROFILE, applies, kernel_version
from builder.sandbox.seccomp_json import Profile, Subject, parse_profile
from builder.sandbox.seccomp_profile import ARCHITECTURES, RULE_GROUPS, Architecture, Condition

_ACTIONS = {
    0x00000000: "SCMP_ACT_KILL_THREAD",
    libseccomp.ACT_KILL_PROCESS: "SCMP_ACT_KILL_PROCESS",
    0x00030000: "SCMP_ACT_TRAP",
    libseccomp.ACT_ERRNO: "SCMP_ACT_ERRNO",
    0x7FF00000: "SCMP_ACT_TRACE",
    0x7FFC0000: "SCMP_ACT_LOG",
    libseccomp.ACT_ALLOW: "SCMP_ACT_ALLOW",
}
_WITH_NUMBER = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
_NUMBER = 0xFFFF


def seccomp_document(spec: ProcessSpec, *, machine: str, release: str) -> dict[str, object] | None:
    """linux.seccomp of the process; None where it has no filter."""
    if spec.privileged or spec.seccomp == "unconfined":
        return None
    architecture = ARCHITECTURES.get(machine, Architecture(machine))
    subject = Subject(
        frozenset(bounding_names(spec)), architecture.go_name, kernel_version(release)
    )
    if spec.seccomp == DEFAULT_PROFILE:
        return {
            **_action(libseccomp.ACT_ERRNO | errno.EPERM, "defaultAction", "defaultErrnoRet"),
            "architectures": _architectures(machine, architecture.compatible),
            "syscalls": _default_rules(subject),
        }
    profile = parse_profile(spec.seccomp, subject)
    return {
        **_action(profile.default_action, "defaultAction", "defaultErrnoRet"),
        "architectures": _architectures(machine, profile.architectures),
        "syscalls": _rules(profile),
    }


def _architectures(machine: str, others: tuple[str, ...]) -> list[str]:
    names = dict.fromkeys((machine, *others))
    return [f"SCMP_ARCH_{name.upper()}" for name in names]


def _default_rules(subject: Subject) -> list[dict[str, object]]:
    return [
        _rule(
            (libseccomp.ACT_ERRNO | group.error) if group.error else libseccomp.ACT_ALLOW,
            group.calls.split(),
            group.conditions,
        )
        for group in RULE_GROUPS
        if applies(group, subject.capabilities, subject.go_name, subject.kernel)
    ]


def _rules(profile: Profile) -> list[dict[str, object]]:
    """The rules, with neighbours that say the same of different calls put together."""
    groups = groupby(profile.rules, key=lambda rule: (rule[0], rule[2]))
    return [
        _rule(action, [name for _, name, _ in rules], conditions)
        for (action, conditions), rules in groups
    ]


def _rule(action: int, names: list[str], conditions: tuple[Condition, ...]) -> dict[str, object]:
    document: dict[str, object] = {"names": names, **_action(action, "action", "errnoRet")}
    if conditions:
        document["args"] = [
            {"index": index, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{comparison}"}
            for index, comparison, value, second in conditions
        ]
    return document


def _action(action: int, name: str, number_name: str) -> dict[str, object]:
    text = _ACTIONS.get(action) or _ACTIONS[action & ~_NUMBER]
    if text in _WITH_NUMBER:
        return {name: text, number_name: action & _NUMBER}
    return {name: text}
