"""A seccomp profile in Docker's JSON form → the rules that apply to one process.

Spec: OCI runtime-spec config-linux.md (seccomp); `includes`, `excludes` and `archMap` are Docker's.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from builder.errors import UnsupportedError, UsageError
from builder.image.errors import InvalidImageError
from builder.image.jsonobject import JsonObject, parse_object
from builder.kernel import libseccomp
from cache.record import record

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": libseccomp.ACT_KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": libseccomp.ACT_ERRNO,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": libseccomp.ACT_ALLOW,
}
_WITH_NUMBER = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
_REFUSED = ("listenerPath", "listenerMetadata")
_COMPARISON = "SCMP_CMP_"
_ARCHITECTURE = "SCMP_ARCH_"


@record
class Subject:
    """The process that a profile is for."""

    capabilities: frozenset[str]  # its bounding set
    go_name: str  # of the machine, as Go has it: amd64
    kernel: tuple[int, int]


@record
class Profile:
    """What of a profile applies, as libseccomp takes it."""

    default_action: int
    architectures: tuple[str, ...]  # besides the machine's own, by libseccomp's names
    rules: tuple[libseccomp.Rule, ...]


def parse_profile(text: str, subject: Subject) -> Profile:
    """The rules for `subject`. UsageError says what is wrong, UnsupportedError what isn't done."""
    try:
        return _profile_of(parse_object(text.encode(), what="seccomp profile"), subject)
    except InvalidImageError as error:
        raise UsageError(
            f"the seccomp profile cannot be used: {error.message}",
            hint="it is a JSON file in Docker's form, with defaultAction and syscalls",
        ) from error


def _profile_of(document: JsonObject, subject: Subject) -> Profile:
    for name in _REFUSED:
        if document.has(name):
            raise UnsupportedError(f'"{name}" of a seccomp profile is not supported')
    default = _action(document, "defaultAction", "defaultErrnoRet")
    rules = tuple(
        rule
        for group in document.children("syscalls")
        for rule in _rules_of(group, subject)
        if rule[0] != default  # libseccomp refuses what changes nothing
    )
    return Profile(default, _architectures(document, subject), rules)


def _action(document: JsonObject, name: str, number_name: str) -> int:
    action = document.text(name, required=True)
    if action == "SCMP_ACT_NOTIFY":
        raise UnsupportedError("SCMP_ACT_NOTIFY of a seccomp profile is not supported")
    if action not in _ACTIONS:
        raise document.error(name, "is no action")
    number = document.integer(number_name) if document.has(number_name) else errno.EPERM
    if not 0 <= number <= 0xFFFF:
        raise document.error(number_name, "is no error number")
    return _ACTIONS[action] | (number if action in _WITH_NUMBER else 0)


def _architectures(document: JsonObject, subject: Subject) -> tuple[str, ...]:
    plain = document.texts("architectures") or ()
    mapped = tuple(document.children("archMap"))
    if plain and mapped:
        raise document.error("archMap", 'stands beside "architectures": one of them is enough')
    for entry in mapped:
        name = _architecture(entry.text("architecture", required=True))
        if _GO_NAMES.get(name, name) == subject.go_name:
            return tuple(map(_architecture, entry.texts("subArchitectures") or ()))
    return tuple(map(_architecture, plain))


_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "x86": "386", "loongarch64": "loong64"}


def _architecture(name: str) -> str:
    return name.removeprefix(_ARCHITECTURE).lower()


def _rules_of(group: JsonObject, subject: Subject) -> Iterator[libseccomp.Rule]:
    action = _action(group, "action", "errnoRet")
    single = group.text("name")
    names = (*(group.texts("names") or ()), *filter(None, (single,)))
    comparisons = tuple(map(_comparison, group.children("args")))
    if not _applies(group, subject):
        return
    for name in names:
        for conditions in _alternatives(comparisons):
            yield action, name, conditions


def _alternatives(
    comparisons: tuple[libseccomp.Comparison, ...],
) -> tuple[tuple[libseccomp.Comparison, ...], ...]:
    """Several about one argument can't stand in one rule: then each is a rule, as runc has it."""
    indexes = [index for index, *_ in comparisons]
    if len(set(indexes)) < len(indexes):
        return tuple((comparison,) for comparison in comparisons)
    return (comparisons,)


def _comparison(argument: JsonObject) -> libseccomp.Comparison:
    name = argument.text("op", required=True).removeprefix(_COMPARISON)
    if name not in libseccomp.COMPARISONS:
        raise argument.error("op", "is no comparison")
    index = argument.integer("index")
    if not 0 <= index <= 5:
        raise argument.error("index", "is not between 0 and 5")
    return index, name, argument.integer("value"), argument.integer("valueTwo")


def _applies(group: JsonObject, subject: Subject) -> bool:
    includes, excludes = group.child("includes"), group.child("excludes")
    if includes is not None:
        needed, architectures, kernel = _condition(includes)
        if not subject.capabilities.issuperset(needed) or (kernel and subject.kernel < kernel):
            return False
        if architectures and subject.go_name not in architectures:
            return False
    if excludes is not None:
        needed, architectures, kernel = _condition(excludes)
        if not subject.capabilities.isdisjoint(needed) or subject.go_name in architectures:
            return False
        if kernel and subject.kernel >= kernel:
            return False
    return True


def _condition(
    document: JsonObject,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, int] | None]:
    kernel: tuple[int, int] | None = None
    text = document.text("minKernel")
    if text:
        major, _, minor = text.partition(".")
        if not (major.isdecimal() and minor.isdecimal()):
            raise document.error("minKernel", "is not like 4.8")
        kernel = int(major), int(minor)
    return document.texts("caps") or (), document.texts("arches") or (), kernel
