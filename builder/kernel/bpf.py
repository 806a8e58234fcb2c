"""bpf(2), for one thing: a program that decides which devices a control group may use.

Instructions come assembled. Spec: linux/bpf.h, struct bpf_attr.
"""

from __future__ import annotations

import ctypes
import os
import struct

from builder.kernel.libc import SystemCall, check

INSTRUCTION_BYTES = 8

_NUMBERS = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
    "s390x": 351,
}
_PROG_LOAD = 5
_PROG_ATTACH = 8
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2  # programs of groups around it and of systemd's stay in force
_ATTRIBUTES_BYTES = 120  # a kernel that knows more takes the rest for zero

_bpf = SystemCall(
    _NUMBERS.get(os.uname().machine, -1), ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


def load_device_program(instructions: bytes) -> int:
    """A descriptor of the program; the caller closes it. OSError: EPERM, ENOSYS, EINVAL."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQIII",
        *(_TYPE_CGROUP_DEVICE, len(instructions) // INSTRUCTION_BYTES),
        *(ctypes.addressof(code), ctypes.addressof(license_text)),
        *(0, 0, 0, 0, 0, 0),  # no log of the verifier
    )
    return _call(_PROG_LOAD, attributes)


def attach_device_program(group_fd: int, program_fd: int) -> None:
    """Have the program decide for a group of version 2, as long as that is there."""
    attributes = struct.pack("=IIII", group_fd, program_fd, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
    _call(_PROG_ATTACH, attributes)


def _call(command: int, attributes: bytes) -> int:
    padded = attributes.ljust(_ATTRIBUTES_BYTES, b"\0")
    return check(_bpf(command, padded, len(padded)))
