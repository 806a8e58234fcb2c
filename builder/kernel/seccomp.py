"""Loading a compiled seccomp filter into the calling process."""

from __future__ import annotations

import ctypes

from builder.kernel.process import prctl

INSTRUCTION_BYTES = 8  # struct sock_filter

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def load_filter(program: bytes) -> None:
    """Apply the BPF instructions to this process and all that it starts; never undone.

    Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
    """
    argument = _Program(len(program) // INSTRUCTION_BYTES, program)
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(argument))
