"""Capability sets of the calling process. Sets are bit masks, bit n for capability number n."""

from __future__ import annotations

import ctypes
import errno
import struct

from builder.kernel.libc import CFunction, check
from builder.kernel.process import prctl

_SHORT_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE"
)
NAMES = tuple(f"CAP_{name}" for name in _SHORT_NAMES.split())
"""In the order of their numbers. Spec: capabilities(7)."""

CAP_SYS_ADMIN = 1 << NAMES.index("CAP_SYS_ADMIN")
CAP_SYS_RESOURCE = 1 << NAMES.index("CAP_SYS_RESOURCE")

_VERSION_3 = 0x20080522
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_capget = CFunction("capget", ctypes.c_char_p, ctypes.c_char_p)
_capset = CFunction("capset", ctypes.c_char_p, ctypes.c_char_p)


def mask_of(names: tuple[str, ...]) -> int:
    """The set of these capabilities. ValueError for a name that is none."""
    return sum(1 << NAMES.index(name) for name in set(names))


def get_sets() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of this process."""
    sets = ctypes.create_string_buffer(24)
    check(_capget(struct.pack("=Ii", _VERSION_3, 0), sets))
    low = struct.unpack_from("=III", sets, 0)
    high = struct.unpack_from("=III", sets, 12)
    effective, permitted, inheritable = (
        low_half | high_half << 32 for low_half, high_half in zip(low, high, strict=True)
    )
    return effective, permitted, inheritable


def set_sets(*, effective: int, permitted: int, inheritable: int = 0) -> None:
    """Replace the three sets of this process."""
    sets = (effective, permitted, inheritable)
    low = struct.pack("=III", *(number & 0xFFFFFFFF for number in sets))
    high = struct.pack("=III", *(number >> 32 for number in sets))
    check(_capset(struct.pack("=Ii", _VERSION_3, 0), low + high))


def limit_bounding(keep: int) -> None:
    """Drop from the bounding set all that is not in `keep`, also what has no name here yet."""
    number = 0
    while True:
        try:
            held = prctl(_PR_CAPBSET_READ, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # beyond the kernel's last capability
                return
            raise
        if held and not keep >> number & 1:
            prctl(_PR_CAPBSET_DROP, number)
        number += 1


def clear_ambient() -> None:
    """Empty the ambient set."""
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
