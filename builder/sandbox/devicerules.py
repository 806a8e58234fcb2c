"""Which devices the processes of a control group may open or make: rules, and enforcing them.

Version 1 has files for them, version 2 a program that the kernel asks. Both take an administrator;
where neither works, the sandbox's mounts are nodev and let nobody open a node.
Spec: the kernel's admin-guide/cgroup-v1/devices.rst and cgroup-v2.rst, Device controller.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Literal

from builder.kernel import bpf
from builder.kernel.cgroup import ControlGroup
from cache.record import record


@record
class DeviceRule:
    """Devices that may be used, wherever their node comes from."""

    kind: Literal["a", "b", "c"]  # all, block, character
    major: int | None  # None: any
    minor: int | None
    access: str = "rwm"  # read, write, mknod

    def __str__(self) -> str:
        major, minor = ("*" if n is None else str(n) for n in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


DEFAULT_RULES = (
    DeviceRule("c", None, None, "m"),  # a node may be made of anything; that opens nothing
    DeviceRule("b", None, None, "m"),
    *(DeviceRule("c", 1, minor) for minor in (3, 5, 7, 8, 9)),  # null zero full random urandom
    *(DeviceRule("c", 5, minor) for minor in (0, 1, 2)),  # tty console ptmx
    DeviceRule("c", 136, None),  # /dev/pts
)
"""Docker's."""


def parse_rule(text: str) -> DeviceRule | None:
    """`c 1:3 rwm`, with `*` for any number; None for what is no rule."""
    match text.split():
        case ["a" | "b" | "c" as kind, numbers, access]:
            pass
        case _:
            return None
    major, separator, minor = numbers.partition(":")
    wrong = any(text != "*" and not _is_number(text) for text in (major, minor))
    if not separator or wrong or not is_access(access):
        return None
    return DeviceRule(
        kind,
        None if major == "*" else int(major),
        None if minor == "*" else int(minor),
        access,
    )


def is_access(text: str) -> bool:
    """Whether it is some of r, w and m, each at most once."""
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 8 and int(text) < 1 << 20


def enforce(group: ControlGroup, rules: Iterable[DeviceRule]) -> bool:
    """Deny the group every device but those of `rules`; whether that is in force now."""
    directory = group.directory_of("devices")
    if directory:
        return _enforce_by_files(directory, rules)
    return bool(group.unified) and _enforce_by_program(group.unified, tuple(rules))


def _enforce_by_files(directory: str, rules: Iterable[DeviceRule]) -> bool:
    try:
        with open(f"{directory}/devices.deny", "w", encoding="ascii") as file:
            file.write("a")
    except OSError:
        return False
    fd = os.open(f"{directory}/devices.allow", os.O_WRONLY | os.O_CLOEXEC)
    try:
        for rule in rules:
            try:
                os.write(fd, str(rule).encode())
            except PermissionError:  # the group around it forbids the device: so do we
                continue
    finally:
        os.close(fd)
    return True


def _enforce_by_program(directory: str, rules: tuple[DeviceRule, ...]) -> bool:
    try:
        program_fd = bpf.load_device_program(program(rules))
    except OSError:  # EPERM: not root; ENOSYS, EINVAL: a kernel without it
        return False
    group_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bpf.attach_device_program(group_fd, program_fd)
    except OSError:
        return False
    finally:
        os.close(group_fd)
        os.close(program_fd)
    return True


# What the program is given, as struct bpf_cgroup_dev_ctx has it, goes into these registers.
_CONTEXT, _KIND, _ACCESS, _MAJOR, _MINOR = 1, 2, 3, 4, 5
_LOAD, _MOVE, _SET, _AND, _AND_REGISTER, _SHIFT_RIGHT = 0x61, 0xBC, 0xB4, 0x54, 0x5C, 0x74
_UNLESS_EQUAL, _UNLESS_EQUAL_REGISTER, _EXIT = 0x55, 0x5D, 0x95
_KINDS = {"b": 1, "c": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}


def program(rules: Iterable[DeviceRule]) -> bytes:
    """BPF that returns 1 for what one of the rules allows, else 0."""
    code = [
        _instruction(_LOAD, _KIND, _CONTEXT, offset=0),
        _instruction(_MOVE, _ACCESS, _KIND),
        _instruction(_AND, _KIND, number=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS, number=16),
        _instruction(_LOAD, _MAJOR, _CONTEXT, offset=4),
        _instruction(_LOAD, _MINOR, _CONTEXT, offset=8),
    ]
    for rule in rules:
        code += _of_rule(rule)
    code += [_instruction(_SET, 0, number=0), _instruction(_EXIT, 0)]
    return b"".join(code)


def _of_rule(rule: DeviceRule) -> list[bytes]:
    """Each test jumps behind the rule's end where it fails; how far is known when all are there."""
    tests: list[tuple[int, int, int, int]] = []  # code, register, other, number
    mask = sum(_ACCESSES[letter] for letter in rule.access)
    if rule.kind != "a":
        tests.append((_UNLESS_EQUAL, _KIND, 0, _KINDS[rule.kind]))
    if rule.kind != "a" and rule.major is not None:
        tests.append((_UNLESS_EQUAL, _MAJOR, 0, rule.major))
    if rule.kind != "a" and rule.minor is not None:
        tests.append((_UNLESS_EQUAL, _MINOR, 0, rule.minor))
    before = [
        _instruction(_MOVE, _CONTEXT, _ACCESS),
        _instruction(_AND, _CONTEXT, number=mask),
    ]
    tests.append((_UNLESS_EQUAL_REGISTER, _CONTEXT, _ACCESS, 0))
    end = [_instruction(_SET, 0, number=1), _instruction(_EXIT, 0)]
    length = len(before) + len(tests) + len(end)
    jumps = [
        _instruction(code, register, other, number, offset=length - len(before) - place - 1)
        for place, (code, register, other, number) in enumerate(tests)
    ]
    return [*before, *jumps, *end]


def _instruction(
    code: int, register: int, source: int = 0, number: int = 0, *, offset: int = 0
) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | register, offset, number)
