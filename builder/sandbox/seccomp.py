"""The compiled seccomp filter of a process, from a cache on disk or made by libseccomp."""

from __future__ import annotations

import errno
import os
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from builder.errors import IsolationError
from builder.kernel import libseccomp
from builder.sandbox.seccomp_profile import ARCHITECTURES, RULE_GROUPS, Architecture, RuleGroup
from cache.statedir import write_atomically

if TYPE_CHECKING:
    from builder.sandbox.seccomp_json import Subject


DEFAULT_PROFILE = "default"


def filter_path(
    seccomp_dir: str, capabilities: tuple[str, ...], profile: str = DEFAULT_PROFILE
) -> str:
    """The file of BPF instructions for a process with this bounding set; made where it is missing.

    `profile` is "default" or JSON. IsolationError where libseccomp is missing or refuses the rules.
    """
    machine, release = _machine()
    try:
        version = libseccomp.version()
        rules = RULE_GROUPS if profile == DEFAULT_PROFILE else profile
        key = repr((rules, sorted(capabilities), machine, release, version))
        path = os.path.join(seccomp_dir, f"{sha256(key.encode()).hexdigest()}.bpf")
        if not os.path.exists(path):
            if profile == DEFAULT_PROFILE:
                program = compile_profile(capabilities, machine, release)
            else:
                program = _compile_json(profile, capabilities)
            write_atomically(path, program)
    except OSError as error:
        raise _denied(error) from error
    return path


def compile_profile(capabilities: tuple[str, ...], machine: str, release: str) -> bytes:
    """The default profile for these capabilities on `machine` with the kernel `release`.

    OSError where libseccomp is missing or fails.
    """
    architecture = ARCHITECTURES.get(machine, Architecture(machine))
    held = frozenset(capabilities)
    kernel = kernel_version(release)
    rules = tuple(
        (_action(group), call, group.conditions)
        for group in RULE_GROUPS
        if applies(group, held, architecture.go_name, kernel)
        for call in group.calls.split()
    )
    default_action = libseccomp.ACT_ERRNO | errno.EPERM
    return libseccomp.compile_filter(default_action, architecture.compatible, rules)


def checked_profile(text: str) -> str:
    """The text of a profile, if it is one: UsageError says what is wrong with it."""
    from builder.sandbox.seccomp_json import parse_profile  # noqa: PLC0415 - for few processes

    parse_profile(text, _subject(()))
    return text


def _compile_json(text: str, capabilities: tuple[str, ...]) -> bytes:
    from builder.sandbox.seccomp_json import parse_profile  # noqa: PLC0415 - for few processes

    profile = parse_profile(text, _subject(capabilities))
    return libseccomp.compile_filter(profile.default_action, profile.architectures, profile.rules)


def _subject(capabilities: tuple[str, ...]) -> Subject:
    from builder.sandbox.seccomp_json import Subject  # noqa: PLC0415 - for few processes

    machine, release = _machine()
    architecture = ARCHITECTURES.get(machine, Architecture(machine))
    return Subject(frozenset(capabilities), architecture.go_name, kernel_version(release))


def applies(
    group: RuleGroup, capabilities: frozenset[str], go_name: str, kernel: tuple[int, int]
) -> bool:
    """Whether the group's rules are for a process with these capabilities, on this machine."""
    return (
        capabilities.issuperset(group.with_capabilities)
        and capabilities.isdisjoint(group.without_capabilities)
        and (not group.architectures or go_name in group.architectures)
        and go_name not in group.not_architectures
        and kernel >= group.min_kernel
    )


def _action(group: RuleGroup) -> int:
    return libseccomp.ACT_ERRNO | group.error if group.error else libseccomp.ACT_ALLOW


def kernel_version(release: str) -> tuple[int, int]:
    """(major, minor) of a kernel's release; zeros for text that is none."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


@cache
def _machine() -> tuple[str, str]:
    uname = os.uname()
    return uname.machine, uname.release


def _denied(error: OSError) -> IsolationError:
    if error.errno == errno.ENOENT and "libseccomp" in str(error.filename):
        return IsolationError(
            "the library libseccomp.so.2 is not installed; it makes the filter of system calls",
            hint="install it (Debian and Ubuntu: apt-get install libseccomp2)",
        )
    return IsolationError(f"the filter of system calls cannot be made: {error}")
