"""The session keyring: keys of the kernel's that a process finds by being of a session."""

from __future__ import annotations

import ctypes
import errno
import os

from builder.kernel.libc import SystemCall, check

_JOIN_SESSION = 1
_NUMBERS = {
    "x86_64": 250,
    "aarch64": 219,
    "riscv64": 219,
    "loongarch64": 219,
    "ppc64le": 271,
    "s390x": 280,
}


def join_new_session() -> None:
    """Leave the caller's session keyring for a new, empty one. Spec: keyctl(2).

    Nothing happens where the kernel has no keys, or a container around us lets nobody ask for them.
    OSError with EDQUOT where this user has too many keyrings.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        return
    keyctl = SystemCall(number, ctypes.c_int, ctypes.c_char_p)
    try:
        check(keyctl(_JOIN_SESSION, None))
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
